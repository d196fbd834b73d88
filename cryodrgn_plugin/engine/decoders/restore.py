"""A finished run's decoder, ready to make volumes; with half-maps where the run solved its maps on half-sets."""

import numpy as np

from ..run import Run
from .atoms import AtomsDecoder
from .decoder import Decoder, LinearDecoder
from .model_file import load_model


class TrainedDecoder:
    """Volumes of a run. `box` in pixels, `pixel_size_ang` in Å per pixel."""

    def __init__(self, decoder: Decoder, halves: tuple[Decoder, Decoder] | None, pixel_size_ang: float) -> None:
        self._decoder, self._halves = decoder, halves
        self.box, self.pixel_size_ang = decoder.box, pixel_size_ang

    def volume(self, z: np.ndarray | None) -> np.ndarray:
        """Map (D, D, D) at z (Z,), white."""
        return self._decoder.volume(z)

    def half_volumes(self, z: np.ndarray | None) -> tuple[np.ndarray, np.ndarray] | None:
        """Two maps at z from independent halves of the particles, or None."""
        return None if self._halves is None else (self._halves[0].volume(z), self._halves[1].volume(z))

    def linear(self) -> tuple[LinearDecoder, ...]:
        """The decoder whose volumes are a mean plus weighted bases, and after it those of the two halves where there
        are any; empty for decoders of another kind."""
        decoders = (self._decoder, *(self._halves or ()))
        return tuple(decoder for decoder in decoders if isinstance(decoder, LinearDecoder))

    def atoms(self) -> AtomsDecoder | None:
        """The decoder whose volumes are those of an atomic model that moves; None for decoders of another kind."""
        return self._decoder if isinstance(self._decoder, AtomsDecoder) else None


def load_decoder(run: Run) -> TrainedDecoder:
    """The decoder of a finished run. Raises DataError when the training has not finished."""
    stored = load_model(run.model_file)
    halves = None
    if run.half_file(1).exists() and run.half_file(2).exists():
        halves = (load_model(run.half_file(1)).decoder, load_model(run.half_file(2)).decoder)
    return TrainedDecoder(stored.decoder, halves, stored.pixel_size_ang)
