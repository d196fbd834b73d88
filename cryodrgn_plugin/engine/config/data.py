"""How particles are read and prepared."""

from dataclasses import dataclass

from .checks import require


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    box: int = 0
    """Box after downsampling, in pixels (even); 0 keeps the box, up to 128. Smaller is faster and blurrier: detail
    stops at two of the new pixels."""
    window: float = 0.85
    """Radius of the circular window as a fraction of half the box; a soft edge runs from here to the box edge. Lower it
    when neighbours intrude, 1 switches it off."""
    sign: str = "auto"
    """Contrast of the particles: white (RELION's default), black (they are inverted on reading) or auto (measured)."""
    max_particles: int = 0
    """Use only this many particles, drawn at random with the seed; 0 uses all. For a quick first look."""
    cache_mb: int = 512
    """Prepared images kept in memory, in MB; above it they stream from disk each pass. Raise it when there is memory to
    spare."""

    def __post_init__(self) -> None:
        require(
            self.box == 0 or (self.box >= 16 and self.box % 2 == 0),
            f"data.box is {self.box}; it must be even and at least 16 (0 keeps the box).",
        )
        require(0.2 <= self.window <= 1.0, f"data.window is {self.window}; it must lie between 0.2 and 1.")
        require(self.sign in ("auto", "white", "black"), f"data.sign is {self.sign!r}; choose auto, white or black.")
        require(self.max_particles >= 0, f"data.max_particles is {self.max_particles}; it must be 0 or more.")
