"""Several processes at one work, as torchrun starts them: each goes over its own images, and sums are made common.

    torchrun --standalone --nproc-per-node 4 -m cryodrgn_plugin.engine.cli train particles.star --out run

Every process (a rank) does everything but pass over the images of others, so that what is not a sum over images is the
same everywhere. The first writes the results. Commands that are not for several are the first's alone.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from .errors import DataError

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

PATIENCE = timedelta(minutes=30)
"""How long a rank waits for another that says nothing; one that has died is noticed at once."""
LOST = (
    "Another of the processes at this work has ended; its own message says why. Start it again with --resume: it goes "
    "on from its last checkpoint, with any number of processes."
)


@dataclass(frozen=True)
class Ranks:
    """This process among `count`, the first being 0."""

    own: int = 0
    count: int = 1

    @classmethod
    def present(cls) -> "Ranks":
        """Those that have been joined, or this process alone."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def alone(self) -> bool:
        return self.count == 1

    def share(self, n: int) -> range:
        """Which of n things in a row are this process's: as many as the others have, or one more."""
        return range(n * self.own // self.count, n * (self.own + 1) // self.count)

    def total(self, *sums: "Tensor | ndarray") -> None:
        """Make each tensor or array the sum of those of all ranks, in place. What is 0 but for a rank's own rows
        becomes whole.

        Raises DataError where a rank was lost.
        """
        if self.alone:
            return
        import torch
        from torch import distributed

        for each in sums:
            with _lost_said():
                distributed.all_reduce(torch.as_tensor(each))

    def gathered(self, rows: "Tensor") -> "Tensor":
        """The rows (n, …) of this rank, n of its own, between those of the ranks before and after it."""
        if self.alone:
            return rows
        import torch

        counts = torch.zeros(self.count, dtype=torch.int64)
        counts[self.own] = len(rows)
        self.total(counts)
        first = int(counts[: self.own].sum())
        whole = rows.new_zeros(int(counts.sum()), *rows.shape[1:])
        whole[first : first + len(rows)] = rows
        self.total(whole)
        return whole

    def mean(self, values: "Tensor") -> "Tensor":
        """The mean () or (K,) of the values (n,) or (n, K) of all ranks; each may have any number, or none."""
        if self.alone:
            return values.mean() if values.dim() == 1 else values.mean(0)
        import torch

        sums = torch.cat([values.sum(0).reshape(-1), values.new_tensor([len(values)])])
        self.total(sums)
        return (sums[:-1] / sums[-1]).reshape(values.shape[1:])

    def any(self, flag: bool) -> bool:
        """Whether it is so for any of them."""
        if self.alone:
            return flag
        import torch

        flags = torch.tensor([float(flag)])
        self.total(flags)
        return bool(flags.item())

    def first_said(self, text: str) -> str:
        """The text of the first of them that has any; "" where none has. None goes on before all have come here."""
        if self.alone:
            return text
        import torch

        letters = torch.tensor(list(text.encode()), dtype=torch.uint8)
        lengths = torch.zeros(self.count, dtype=torch.int64)
        lengths[self.own] = len(letters)
        self.total(lengths)
        speaking = lengths.nonzero()[:1, 0].tolist()
        if not speaking:
            return ""
        said = letters if self.own in speaking else letters.new_zeros(int(lengths[speaking[0]]))
        self.total(said)
        return bytes(said.tolist()).decode()

    @contextmanager
    def alike(self) -> Iterator[None]:
        """What is wrong for one is wrong for all, at the end of the block: the DataError of the first that has one is
        raised by each. Inside of it nothing may be made common.
        """
        wrong = ""
        try:
            yield
        except DataError as error:
            if self.alone:
                raise
            wrong = str(error)
        if wrong := self.first_said(wrong):
            raise DataError(wrong)

    def require_same(self, value: float) -> None:
        """Raises DataError unless all ranks have come to the same figure; else they would go different ways."""
        if self.alone:
            return
        import torch

        values = torch.zeros(self.count, dtype=torch.float64)
        values[self.own] = value
        self.total(values)
        if not bool((values == values[0]).all() | values.isnan().all()):
            raise DataError(
                f"The processes at this work came to different results ({', '.join(map(str, values.tolist()))}): "
                "run them on machines of one kind, with the same versions of torch and numpy."
            )


def started() -> int:
    """How many processes torchrun has started; 1 without it."""
    count = os.environ.get("WORLD_SIZE", "1")
    return int(count) if count.isdecimal() else 1


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks that torchrun has started, joined while the block runs; this process alone where it has not.

    Flags and figures go from host to host, so that no GPU waits for them; so does everything of processes that share a
    GPU.
    """
    if started() < 2:
        yield Ranks()
        return
    import torch
    from torch import distributed

    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")) % gpus)
    one_each = 0 < int(os.environ.get("LOCAL_WORLD_SIZE", "1")) <= gpus
    with _lost_said():
        distributed.init_process_group("cpu:gloo,cuda:nccl" if one_each else "gloo", timeout=PATIENCE)
    try:
        with _first_heard(distributed.get_rank()):
            yield Ranks.present()
    finally:
        distributed.destroy_process_group()


def left_to_the_first(command: str) -> bool:
    """Whether this process is to do what is done by one, which it and those that it starts then take themselves for;
    the others have nothing to do.
    """
    count = started()
    if count < 2:
        return True
    if os.environ.get("RANK", "0") != "0":
        return False
    os.environ["WORLD_SIZE"] = "1"
    print(f"torchrun has started {count} processes, and one does `{command}`; the others have ended.", file=sys.stderr)
    return True


@contextmanager
def _first_heard(own: int) -> Iterator[None]:
    """Of the lines that all would print, those of the first only are printed."""
    if own == 0:
        yield
        return
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        yield


@contextmanager
def _lost_said() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise DataError(LOST) from error
