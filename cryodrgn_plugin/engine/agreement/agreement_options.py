"""The settings of `agreement`. Imports nothing heavy: the command line and the hosts' forms are made from them."""

from dataclasses import dataclass
from typing import Annotated

from ..config import Settings
from ..config.bounds import Between


@dataclass(frozen=True, kw_only=True)
class AgreementOptions(Settings):
    least: Annotated[float, Between(0.5, 1)] = 1.0
    """Share of the runs that found a species which must put a particle there, for it to be in the particle file of the
    species. 1 wants all of them; lower it where there are many runs."""
