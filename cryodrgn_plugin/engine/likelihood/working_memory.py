"""What passes over images and their sums may take: some equations at a time where not all fit, and half as much of
everything from the moment when memory has run out."""

import os
from collections.abc import Callable
from typing import TypeVar

import torch

from ..config.machine_memory import MB, free_memory_mb
from ..config.memory_estimate import FREE_SHARE, usual_mb
from ..out_of_memory import Halving

Result = TypeVar("Result")


class WorkingMemory:
    """What the passes of one training may take.

    Parameters
    ----------
    equations_mb : for normal equations, in MB; 0 takes what is usual, and on a GPU what is free.
    told : is given the sentences that say what was done.
    """

    def __init__(self, equations_mb: int = 0, told: Callable[[str], object] = lambda sentence: None) -> None:
        self._equations_mb, self._told, self._said = equations_mb, told, ""
        less = "a smaller data.box or z_dim"
        self._halving = Halving("batches of images with the equations that they add to", less, told)

    @property
    def pieces(self) -> int:
        """In how many parts everything is done, 1 or 2."""
        return self._halving.pieces

    def run(self, work: Callable[[], Result]) -> Result:
        """What `work` gives, once more in smaller parts where memory runs out in it. It must leave nothing behind where
        it fails.

        Raises DataError where memory does not suffice for those.
        """
        return self._halving.run(lambda pieces: work())

    def for_equations(self, device: torch.device, beside: float) -> float:
        """Bytes that equations may take, where `beside` bytes are wanted for what is solved from them."""
        if self._equations_mb:
            return self._equations_mb * MB
        if device.type == "cuda":
            return max(FREE_SHARE * torch.cuda.mem_get_info(device)[0] - beside, 0)
        free_mb = free_memory_mb() / int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        return usual_mb(beside / MB, free_mb) * MB

    def say(self, sentence: str) -> None:
        """Say it, if it is not what was said last."""
        if sentence != self._said:
            self._told(sentence)
        self._said = sentence
