"""Memory that runs out in the midst of a training: the same work once more, in halves, with the same result."""

import gc
from collections.abc import Callable
from typing import TypeVar

from .errors import DataError

Result = TypeVar("Result")

CPU_ALLOCATOR = ("not enough memory", "can't allocate memory", "out of memory")
"""What torch's allocators say in a plain RuntimeError."""


class Halving:
    """Work that is done in one piece, and in two from the moment when memory has run out.

    Parameters
    ----------
    what : is divided, as in "batches of 128 particles".
    less : what the user can do where halves do not fit either, as in "a smaller training.batch_size".
    told : is given the sentence that says so.
    divides : whether the work is the sum of its parts; else it is not tried again.
    """

    def __init__(self, what: str, less: str, told: Callable[[str], object], divides: bool = True) -> None:
        self.pieces = 1
        self._what, self._less, self._told, self._divides = what, less, told, divides

    def run(self, work: Callable[[int], Result]) -> Result:
        """What `work` gives, which is told in how many pieces to do it. It must leave nothing behind where it fails.

        Raises DataError where memory does not suffice for halves.
        """
        try:
            return work(self.pieces)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            if self.pieces > 1 or not self._divides:
                all_of_it = "half of " if self.pieces > 1 else ""
                raise DataError(
                    f"There is not enough memory for {all_of_it}{self._what}; start again with {self._less}, or where "
                    "there is more."
                ) from error
        # Here and not above: while an error is handled, all that its frames hold is kept.
        self.pieces = 2
        _release()
        self._told(f"There was not enough memory for {self._what}: they are worked through in halves from now on.")
        return self.run(work)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it is the memory, of the machine or of a GPU, that has run out."""
    if isinstance(error, MemoryError):
        return True
    from torch import OutOfMemoryError

    said = str(error).lower()
    return isinstance(error, OutOfMemoryError) or any(words in said for words in CPU_ALLOCATOR)


def _release() -> None:
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
