"""What a training saw of directions of variation, and the smallest change that it would have seen."""

from dataclasses import dataclass

from ..closed_form.detectable import in_brief, in_words
from ..run import Run


@dataclass(frozen=True)
class Sensitivity:
    """Of a run that compares its directions of variation with those of noise."""

    directions: int
    """How many stand out from noise."""
    smallest: str = ""
    """The smallest parts of the molecule that would have been seen to come and go, as a sentence; empty if unknown."""
    brief: str = ""
    """The end of "No heterogeneity found", with what comes before it."""

    @classmethod
    def of(cls, run: Run) -> "Sensitivity | None":
        """None where the recipe does not look for directions."""
        notes = run.info.get("notes", {})
        return cls(notes["directions"], in_words(notes), in_brief(notes)) if "directions" in notes else None

    @property
    def stand_out(self) -> str:
        """`2 directions of variation stand`, which goes on `out from noise`."""
        stand = "directions of variation stand" if self.directions != 1 else "direction of variation stands"
        return f"{self.directions or 'No'} {stand}"

    @property
    def sentence(self) -> str:
        """Both in words."""
        return f"{self.stand_out} out from noise in all particles. {self.smallest}".rstrip()
