"""What `atoms` has found of an atomic model in a run, as a validation tells it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..run import Run

UNCHECKED = "not checked"


@dataclass(frozen=True)
class ModelFinding:
    """Whether prior-free half-maps of the states agree with an atomic model."""

    model: str
    """Name of its file."""
    outcome: str
    """agrees, never as in the model, wrong, cannot be told, or not checked."""
    said: tuple[str, ...]
    """Of the model as it was laid in, and of the shape in which it was given."""
    figure: Path | None = None
    """Agreement along the residues."""

    @classmethod
    def of(cls, run: Run) -> "ModelFinding | None":
        """None where no model was laid into the maps of the run. Raises DataError where what was found is damaged."""
        if not run.has_results("atoms"):
            return None
        atoms = run.results("atoms")
        model, bias = Path(atoms.index["options"]["model"]).name, atoms.index.get("bias")
        if not bias or "outcome" not in bias:
            return cls(model, UNCHECKED, ("Run atoms with --bias yes to know whether maps without it agree.",))
        figure = atoms.figures.get("bias")
        said = tuple(sentence for sentence in (bias["verdict"], bias["as_given"]["verdict"]) if sentence)
        return cls(model, bias["outcome"], said, figure if figure and figure.is_file() else None)

    @property
    def sentence(self) -> str:
        """All of it in words."""
        return f"Atomic model {self.model}: {self.outcome}. {' '.join(self.said)}"

    def entry(self) -> dict[str, Any]:
        """As the index has it."""
        return {"model": self.model, "outcome": self.outcome, "said": list(self.said)}
