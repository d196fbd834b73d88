"""The half-sets' maps that images are placed by, each image by those of the half that it is not in."""

import numpy as np

from ..likelihood.equations import HalfSetEquations
from ..likelihood.linear_model import LinearModel, fit_volumes
from ..reconstruction.adaptive import filtered_halves
from ..slicing.place import on_host

FREEDOM = 100.0
"""How much wider the prior is for maps whose noise is filtered afterwards. A prior per shell knows nothing of where
things move and takes that for noise; filtering by where the halves agree does. A factor of 10 does half as much, 1,000
hardly more."""
UNFILTERED_FREEDOM = 3.0
"""The same for maps that are not. Where images are shared among nodes the halves agree on less than there is, and maps
that are shrunk in each round take images from the states that differ most."""


def judging_maps(equations: HalfSetEquations, mask: np.ndarray, filtered: bool) -> list[LinearModel]:
    """Solved inside `mask` (D, D, D), and filtered by what the halves share locally if `filtered`."""
    return made_to_judge(solved_to_judge(equations, mask, filtered, spent=False), filtered)


def solved_to_judge(equations: HalfSetEquations, mask: np.ndarray, filtered: bool, spent: bool) -> list[LinearModel]:
    """The first half of `judging_maps`. The equations, which take more memory than all else, are not needed after;
    `spent` as for `fit_volumes`."""
    return fit_volumes(equations, mask, FREEDOM if filtered else UNFILTERED_FREEDOM, spent)


def made_to_judge(models: list[LinearModel], filtered: bool) -> list[LinearModel]:
    """The second half of `judging_maps`."""
    return locally_shared(models, unchanged=1) if filtered else models


def locally_shared(models: list[LinearModel], unchanged: int = 0) -> list[LinearModel]:
    """Two half-set models with what they share locally, channel by channel, but for the first `unchanged`; they take
    the place of what they were."""
    backend = models[0].backend
    for channel in range(models[0].n_bases + 1):
        some = slice(channel, channel + 1)
        pair = [on_host(backend.volumes(model.coefs[:, :, some])[0]) for model in models]
        # Functions that no image sees have empty volumes, and these are left alone too.
        if channel >= unchanged and pair[0].any():
            pair = filtered_halves(*pair)
        for model, volume in zip(models, pair, strict=True):
            model.coefs[:, :, some] = backend.coefficients(backend.compute.tensor(volume[None]))
    return models
