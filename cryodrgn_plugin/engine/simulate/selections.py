"""Parts of a model named in words: `B:331-527`, `LID` parts as `A:1-29,A:60-121`, a whole chain `B`, residues of any
chain `331-527`.
"""

import re

import numpy as np

from ..atoms.atomic_model import AtomicModel
from ..errors import ConfigError

_PART = re.compile(r"(?:(?P<chain>[^:,]+):)?(?P<first>-?\d+)-(?P<last>-?\d+)")


def selected(model: AtomicModel, text: str) -> np.ndarray:
    """(n,) mask of the atoms that `text` names: comma-separated CHAIN:FIRST-LAST, FIRST-LAST or CHAIN.

    Raises ConfigError when a part names no atom of the model.
    """
    mask = np.zeros(len(model), dtype=bool)
    for part in text.split(","):
        mask |= _one_part(model, part.strip())
    return mask


def _one_part(model: AtomicModel, part: str) -> np.ndarray:
    match = _PART.fullmatch(part)
    if match:
        mask = model.select(match["chain"], int(match["first"]), int(match["last"]))
    else:
        mask = model.select(part)
    if not mask.any():
        chains = ", ".join(sorted(set(model.chains.tolist()))) or "none"
        raise ConfigError(
            f"{part!r} names no atom of the model (its chains are {chains}); "
            "write a part as CHAIN:FIRST-LAST, such as B:331-527."
        )
    return mask
