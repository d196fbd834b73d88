"""Does the CTF of the star file belong to the images, and what was done about it before?

Two witnesses. Noise: images that were multiplied by their CTF have noise that vanishes where the CTF does, and so the
power of their coefficients is proportional to CTF². Signal: a map made with the right transfer function explains unseen
images best, whatever else was tried: none, its modulus (phases flipped), its square (multiplied), other images' CTFs.
"""

from dataclasses import replace

import numpy as np

from ..imaging.lattice import HalfPlane
from .case import FLIPPED, MULTIPLIED, SIGNED, Case
from .trials import Tell, Trial, better, tried
from .verdicts import BELIEVED, OK, STOP, WARN, Verdict

NONE = "no CTF"
SHUFFLED = "CTF of other images"
COLOURED = 0.5
"""Share of the noise that follows CTF² above which it was multiplied by the CTF."""
_ADVICE = {
    NONE: "either they are corrected for it, and the CTF columns should be left out, or the defoci are those of other "
    "images",
    FLIPPED: "the phases of the images look flipped: set rlnCtfDataArePhaseFlipped to 1 in the optics table",
    MULTIPLIED: "the images look multiplied by their CTF: set rlnCtfDataAreCtfPremultiplied to 1 in the optics table",
    SIGNED: "the images look as the microscope left them: set rlnCtfDataArePhaseFlipped and "
    "rlnCtfDataAreCtfPremultiplied to 0 in the optics table",
}


def noise_follows_ctf(spectra: np.ndarray, ctf: np.ndarray, lattice: HalfPlane) -> float:
    """Share of the coefficients' power that is proportional to CTF², in the outer half of the shells.

    In each shell |x|² = a + b c² is fitted over the images and coefficients; the share is Σ b c² / Σ (a + b c²). It is
    near 0 for white noise and near 1 for noise that was multiplied by the CTF.

    Parameters
    ----------
    spectra : (n, F) complex of noisy images. ctf : (n, F).
    """
    shells = lattice.shells
    explained = total = 0.0
    for shell in range(lattice.n_shells // 2, lattice.n_shells):
        inside = shells == shell
        power, square = (np.abs(spectra[:, inside]) ** 2).ravel(), (ctf[:, inside] ** 2).ravel()
        spread = square.var()
        slope = ((power - power.mean()) * (square - square.mean())).mean() / spread if spread > 1e-6 else 0.0
        explained += float(slope * square.mean()) * inside.sum()
        total += float(power.mean()) * inside.sum()
    return explained / total if total > 0 else 0.0


def try_transfer(case: Case, tell: Tell) -> list[Trial]:
    """Other transfer functions than the stated one, the first of them those of other images."""
    order = np.random.default_rng(case.seed).permutation(case.dataset.n)
    ctf = case.ctf()
    candidates = {SIGNED: ctf, FLIPPED: np.abs(ctf), MULTIPLIED: ctf**2, NONE: case.known}
    del candidates[case.stated]
    trials = []
    for name, transfer in [(SHUFFLED, case.story.transfer[order]), *candidates.items()]:
        tell(name)
        trials.append(tried(case, name, replace(case.story, transfer=transfer), _ADVICE.get(name, "")))
    return trials


def judge_noise(share: float, stated: str) -> Verdict | None:
    """A verdict where noise alone shows that the file is wrong about multiplied images; None where it agrees."""
    figures = {"noise_share_following_ctf2": round(share, 3)}
    if share > COLOURED and stated != MULTIPLIED:
        sentence = f"The noise of the images follows CTF² ({share:.0%} of it): {_ADVICE[MULTIPLIED]}."
        return Verdict("CTF", STOP, sentence, figures)
    if stated == MULTIPLIED and share < COLOURED / 2:
        sentence = (
            f"The file says that images were multiplied by their CTF, but their noise does not follow CTF² "
            f"({share:.0%} of it): {_ADVICE[SIGNED]}."
        )
        return Verdict("CTF", STOP, sentence, figures)
    return None


def judge_transfer(trials: list[Trial], stated: str, share: float | None) -> Verdict:
    """The verdict on the CTF from what was tried."""
    shuffled, *others = trials
    figures = {"stated": stated, "tried": [trial.summary() for trial in trials]}
    figures |= {} if share is None else {"noise_share_following_ctf2": round(share, 3)}
    winner = better(others)
    if winner is not None:
        sentence = (
            f"The images fit better with another transfer function than with the one the file states ({winner.name}, "
            f"{winner.over_given:.0f} standard errors): {winner.advice}."
        )
        return Verdict("CTF", STOP, sentence, figures)
    without = next(trial for trial in others if trial.name == NONE)
    if -without.over_given < BELIEVED:
        sentence = (
            f"The CTF of the file explains the images no better than none ({-without.over_given:+.1f} standard "
            "errors): too few images, or defoci that are not theirs."
        )
        return Verdict("CTF", WARN, sentence, figures)
    if -shuffled.over_given < BELIEVED:
        sentence = (
            f"The defocus of each image explains it no better than that of another image "
            f"({-shuffled.over_given:+.1f} standard errors): all are nearly equal, or they were mixed up."
        )
        return Verdict("CTF", WARN, sentence, figures)
    sentence = (
        f"The CTF belongs to the images ({-shuffled.over_given:.0f} standard errors over that of other images) and "
        f"helps ({-without.over_given:.0f} over none); the file is right about what was done to them: {stated}."
    )
    return Verdict("CTF", OK, sentence, figures)


def without_ctf() -> Verdict:
    """The verdict on a file that states none."""
    return Verdict(
        "CTF",
        WARN,
        "The file has no CTF (no rlnDefocusU), so the images are taken as free of it: right for corrected or simulated "
        "images only.",
        {"stated": NONE},
    )
