"""Images compressed near their poses: over volumes, and over what errors of the poses and of the defocus add."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..ranks import Ranks
from ..slicing.backend import N_ERRORS, N_PARAMETERS
from .linear_model import LinearModel, compress
from .whitened import WhitenedImages

AT_ONCE = 4096
"""Images whose posteriors are worked out at a time."""


def parts_of(count: int) -> Iterator[slice]:
    """Rows of `count` images that are worked on at a time."""
    return (slice(first, first + AT_ONCE) for first in range(0, count, AT_ONCE))


@dataclass(frozen=True)
class NearImages:
    """N compressed images over the amplitudes of C volumes and of J errors of their poses and their defocus.

    `gram` (N, C + J, C + J) and `inner` (N, C + J), float64; channel 0 is the mean volume. J is 6, 5 where the defocus
    is taken as it is, or 0 where poses are as well.
    """

    gram: Tensor
    inner: Tensor
    n_bases: int
    groups: tuple[int, ...] = ()
    """Sizes of groups of bases whose amplitudes vary independently of those of others, as those inside the regions of a
    focus do and those outside (`likelihood/outside`); one group if empty."""
    ranks: Ranks = field(default_factory=Ranks)
    """The processes that share what is worked out of each image; all have all images."""

    def __len__(self) -> int:
        return len(self.gram)

    def at(self, rows: slice) -> "NearImages":
        """Some of the images."""
        return replace(self, gram=self.gram[rows], inner=self.inner[rows])

    def parts(self) -> Iterator[slice]:
        """Rows that are worked on at a time."""
        return parts_of(len(self))

    @property
    def own(self) -> slice:
        """Rows that this process works on."""
        share = self.ranks.share(len(self))
        return slice(share.start, share.stop)


def compress_near(
    models: list[LinearModel],
    images: WhitenedImages,
    count: int,
    moving: Tensor | None,
    half: np.ndarray | None = None,
) -> NearImages:
    """As `linear_model.compress`, with the derivatives of images by the errors of their poses as further channels, and
    by that of their defocus where `images` tell of it.

    Parameters
    ----------
    moving : (M, 2, 4) what `Backend.moving` gives of the volume whose images stand for how images change; None takes
        poses as they are. The models of the list are stored beside its moments from then on.
    """
    if moving is None:
        gram, inner = compress(models, images, count, half)
        return NearImages(gram, inner, models[0].n_bases, ranks=images.ranks)
    return images.memory.run(partial(_compressed_near, models, images, count, moving, half))


def _compressed_near(
    models: list[LinearModel], images: WhitenedImages, count: int, moving: Tensor, half: np.ndarray | None
) -> NearImages:
    size = models[0].n_bases + 1 + (N_ERRORS if images.with_defocus else N_PARAMETERS)
    gram = images.compute.double(torch.zeros(images.n, size, size))
    inner = gram.new_zeros(images.n, size)
    coefs = [_beside(models, number, moving[:, :, 1:]) for number in range(len(models))]
    for part, batch in images.by_halves(count, half):
        seen_by = part if half is None else 1 - part
        rows, backend = torch.as_tensor(batch.index, device=gram.device), models[seen_by].backend
        seen = batch.targets, batch.weights, batch.rotations, batch.defocus_slopes
        gram[rows], inner[rows] = backend.compress_near(coefs[seen_by], *seen)
    images.ranks.total(gram, inner)
    return NearImages(gram, inner, models[0].n_bases, ranks=images.ranks)


def _beside(models: list[LinearModel], number: int, moments: Tensor) -> Tensor:
    """(M, 2, C + 3) a model and moments in one piece of memory, which becomes the model's: two copies of the maps of
    each half-set would take more than all else."""
    model = models[number]
    both = torch.cat([model.coefs, moments], 2)
    models[number] = LinearModel(model.backend, both[:, :, : model.n_bases + 1])
    return both


@dataclass(frozen=True)
class ImagesApart:
    """n images over the amplitudes of C volumes and of J errors, R in all, and over those of P volumes that are each
    looked at by itself.

    `gram` (n, R, R) and `inner` (n, R) as of `NearImages`; `shared` (n, R, P) what the P have in common with those,
    `own` (n, P) and `told` (n, P) what they have with themselves and with the image. All float64.
    """

    gram: Tensor
    inner: Tensor
    shared: Tensor
    own: Tensor
    told: Tensor


def compressed_apart(
    model: LinearModel, n_apart: int, images: WhitenedImages, count: int, moving: Tensor | None
) -> Iterator[tuple[Tensor, ImagesApart]]:
    """One pass over the images of this process, compressed some at a time; yields their numbers (n,) as well.

    Parameters
    ----------
    model : its last `n_apart` volumes are each looked at by itself.
    moving : as of `compress_near`.
    """
    backend, first = model.backend, model.coefs.shape[2] - n_apart
    coefs = model.coefs if moving is None else torch.cat([model.coefs, moving[:, :, 1:]], 2)
    for batch in images.passes(count):
        seen = coefs, batch.targets, batch.weights, batch.rotations
        if moving is None:
            gram, inner = backend.compress(*seen)
            own = gram.diagonal(dim1=1, dim2=2)[:, first:]
            apart = ImagesApart(
                gram[:, :first, :first], inner[:, :first], gram[:, :first, first:], own, inner[:, first:]
            )
        else:
            apart = ImagesApart(*backend.compress_apart(*seen, batch.defocus_slopes, n_apart=n_apart))
        yield torch.as_tensor(batch.index, device=coefs.device), apart
