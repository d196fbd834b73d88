"""What the explorer shows, free of any window: latents and their pictures, maps, resolution and training curves."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .atoms_content import AtomsContent
from .colouring import Colouring
from .resident_decoder import ResidentDecoder

if TYPE_CHECKING:
    from .columns_content import ColumnsOfRun
    from .handover import Handover

MODEL = "Atomic model"
"""The tab that shows `Content.atoms`."""


@dataclass(frozen=True)
class Projection:
    """A flat picture of the latent space."""

    name: str
    points: np.ndarray
    """(N, 2)."""
    x: str
    y: str
    axes: tuple[int, int] | None = None
    """The columns of z that x and y are, where they are such."""


@dataclass(frozen=True)
class MapEntry:
    """One map of a series."""

    series: str
    label: str
    path: str
    colour: str
    colour_below: str = ""
    """Of the surface at minus the level, where the map is a difference."""
    level: float | None = None
    """Density at which its surface is drawn; None lets the viewer choose."""
    particle: int | None = None
    """Index of the particle it was made at, if it was made at one."""
    z: np.ndarray | None = None
    fsc: np.ndarray | None = None
    """(shells,) half-map correlation from shell 0."""
    resolution_ang: float | None = None
    """Of the half-maps, at FSC 0.143."""
    expected_fsc: np.ndarray | None = None
    """(shells,) correlation to the truth that is expected, where that was measured."""
    expected_ang: float | None = None
    """Where it falls below 0.5."""
    volume: np.ndarray | None = None
    """(D, D, D) of a map that was made on the spot and has no file."""
    pixel_size_ang: float | None = None
    """Of `volume`."""

    @property
    def reached(self) -> str:
        """How far the map goes, in words; empty where nothing is known."""
        if self.expected_ang:
            return f"{self.expected_ang:.1f} Å at expected FSC 0.5"
        return f"{self.resolution_ang:.1f} Å at half-map FSC 0.143" if self.resolution_ang else ""


@dataclass
class Content:
    """Everything the explorer shows of a run."""

    title: str
    facts: list[str] = field(default_factory=list)
    """Short lines for the foot of the window."""
    object_ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) of the particles; empty until `read_columns` was called."""
    rows: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    """(N,) star row of each, from 0."""
    read_columns: "Callable[[Callable[[str], None]], ColumnsOfRun] | None" = None
    """Reads all that is known of each particle, ids too; called in a thread."""
    projections: list[Projection] = field(default_factory=list)
    colourings: list[Colouring] = field(default_factory=list)
    maps: list[MapEntry] = field(default_factory=list)
    metrics: list[dict[str, float]] = field(default_factory=list)
    pictures: list[tuple[str, str]] = field(default_factory=list)
    """Name and file of figures that the engine drew."""
    pixel_size_ang: float = 1.0
    """Of the maps."""
    z: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """(N, Z) where each particle lies."""
    z_names: tuple[str, ...] = ()
    """What the columns of z are called; empty for z1, z2, …"""
    decoder: ResidentDecoder | None = None
    """Makes the map at any z once it is started; None where no run can be asked."""
    atoms: AtomsContent | None = None
    """An atomic model in the maps, where one was laid into them."""
    handover: "Handover | None" = None
    """Starts protocols with what was chosen here; None where there is no project."""
    keep_mask: Callable[[list[np.ndarray], float], str] | None = None
    """Keeps regions (D, D, D) bool that were drawn, with their pixel size in Å, and says where; None where they have no
    place."""

    def series(self) -> list[str]:
        """Names of the map series, in order."""
        return list(dict.fromkeys(entry.series for entry in self.maps))

    def maps_of(self, series: str) -> list[MapEntry]:
        """The maps of one series, in order."""
        return [entry for entry in self.maps if entry.series == series]
