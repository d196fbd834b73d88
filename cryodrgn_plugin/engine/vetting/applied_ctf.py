"""What was done about the CTF to the images before, when file and images disagree.

Images that were multiplied by their CTF, or whose phases were flipped, without a word of it in the star file are made
into maps of nothing: every second ring of their coefficients has the wrong sign. Noise and signal of a sample tell
(`transfer`); the file is believed unless they contradict it clearly.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..data.cache import SpectraCache
from ..data.dataset import ParticleDataset
from ..data.half_sets import drawn_halves
from ..data.looking import look_at
from ..data.source import ParticleSource
from ..imaging.noise import estimate_noise
from ..ranks import Ranks
from .case import FLIPPED, MULTIPLIED, SIGNED, Case, stated_transfer
from .transfer import COLOURED, NONE, noise_follows_ctf
from .trials import tried
from .verdicts import BELIEVED

SAMPLE = 1000
"""Images whose noise is looked at."""
TRIED = 600, 2400
"""Images that are tried with other transfer functions, where they have poses; the more where fewer cannot tell."""
LARGEST_BOX = 64
"""Box in pixels that images are cropped to for this: which rings are turned round shows at low frequency."""
FEWEST = 100
"""Images below which the file is believed: noise that follows CTF² and a better fit may be chance."""
SETTINGS = {SIGNED: "none", FLIPPED: "flipped", MULTIPLIED: "multiplied", NONE: "corrected"}
"""`data.ctf_applied` for what was found."""


@dataclass(frozen=True)
class AppliedCtf:
    """What the file states, which is SIGNED, FLIPPED or MULTIPLIED, and what the images show, which may be NONE too."""

    stated: str
    found: str
    noise_share: float | None
    """Share of the noise that follows CTF²; None where there is no noise to ask, or of too few images."""
    over_stated: dict[str, float]
    """Standard errors by which each other transfer function explains the images better; empty without poses."""

    @property
    def contradicts(self) -> bool:
        return self.found != self.stated

    @property
    def setting(self) -> str:
        """The value of `data.ctf_applied`."""
        return SETTINGS[self.found]


def applied_ctf(dataset: ParticleDataset, folders: list[Path], seed: int) -> AppliedCtf | None:
    """Ask a sample of the images what was done to them; None for images without CTF.

    `folders` are where image paths may start. Poses are those of the dataset; without them noise alone is asked.
    """
    if dataset.ctf_params is None:
        return None
    stated = stated_transfer(dataset)
    some = _sample(dataset, folders, seed)
    share = _noise_share(some) if some.has_noise and some.n >= FEWEST else None
    over_stated: dict[str, float] = {}
    for count in TRIED if some.is_posed and some.n >= FEWEST else ():
        over_stated = _over_stated(some.subset(np.arange(min(some.n, count))), seed)
        best = max(over_stated.values())
        if best > BELIEVED or best < -BELIEVED or some.n <= count:
            break
    return AppliedCtf(stated, settled(stated, share, over_stated), share, over_stated)


def settled(stated: str, share: float | None, over_stated: dict[str, float]) -> str:
    """What to believe: the file, or what noise and signal say against it.

    Noise that follows CTF² was multiplied by it, whatever the file says, unless the signal clearly contradicts that;
    between flipped and unflipped phases the signal alone can tell.
    """
    beyond = {name: over for name, over in over_stated.items() if over > BELIEVED}
    if share is not None:
        if share > COLOURED:
            return stated if over_stated.get(MULTIPLIED, 0.0) < -BELIEVED else MULTIPLIED
        beyond.pop(MULTIPLIED, None)
        if stated == MULTIPLIED and share < COLOURED / 2 and NONE not in beyond:
            phases = {name: over_stated.get(name, 0.0) for name in (SIGNED, FLIPPED)}
            return max(phases, key=phases.__getitem__)
    return NONE if NONE in beyond else max(beyond, key=beyond.__getitem__, default=stated)


def _sample(dataset: ParticleDataset, folders: list[Path], seed: int) -> ParticleDataset:
    """Some of the images as a small set of their own, cropped to a small box."""
    drawn = np.random.default_rng([seed, 17]).permutation(dataset.n)[: max(SAMPLE, *TRIED)]
    look = look_at(dataset.source, dataset.rows[drawn], Ranks.present())
    table = replace(dataset.table, frame=dataset.table.frame.iloc[look.rows].reset_index(drop=True))
    sign = {1: "white", -1: "black"}[dataset.sign]
    config = replace(dataset.config, box=min(dataset.box, LARGEST_BOX), sign=sign)
    source = ParticleSource(table, config, folders, seed)
    some = ParticleDataset(
        source, np.arange(len(drawn)), SpectraCache(len(drawn), source.lattice.size, config.cache_mb)
    )
    some.first_look = replace(look, rows=some.rows)
    some = some.usable()
    return some if dataset.is_posed else some.without_poses()


def _noise_share(some: ParticleDataset) -> float:
    rows = some.rows[:SAMPLE]
    return float(noise_follows_ctf(some.source.spectra(rows), some.source.ctf(rows), some.lattice))


def _over_stated(some: ParticleDataset, seed: int) -> dict[str, float]:
    """Standard errors by which images with poses fit better with what the file does not state.

    Of no CTF at all it is that over the best other story, where that is less: flipped phases look much like it.
    """
    case = Case.of(some, estimate_noise(some, seed), drawn_halves(some, seed), seed)
    ctf = case.ctf()
    candidates = {SIGNED: ctf, FLIPPED: np.abs(ctf), MULTIPLIED: ctf**2, NONE: case.known}
    del candidates[case.stated]
    trials = [tried(case, name, replace(case.story, transfer=transfer)) for name, transfer in candidates.items()]
    *others, without = trials
    over_stated = {trial.name: round(trial.over_given, 1) for trial in others}
    least = min(without.evidence.over(evidence) for evidence in (case.given, *(trial.evidence for trial in others)))
    return {**over_stated, NONE: round(without.over_given if least > 0 else least, 1)}
