"""The aberrations of each optics group that a particle file lists, and what of them is not applied.

RELION 3.1 and later keep them in the optics table, one row per group; RELION 3.0 has the beam tilt of each particle.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ..errors import DataError
from ..imaging.aberrations import Aberrations

BEAM_TILT = ("rlnBeamTiltX", "rlnBeamTiltY")
MAGNIFICATION = ("rlnMagMat00", "rlnMagMat01", "rlnMagMat10", "rlnMagMat11")
ODD, EVEN = "rlnOddZernike", "rlnEvenZernike"
MTF = "rlnMtfFileName"
MOST_TERMS = 81
"""Of one list: polynomials up to the order 16. RELION fits up to 8."""
_EVEN_LENS = dict(zip(MAGNIFICATION, (1.0, 0.0, 0.0, 1.0), strict=True))
_LEAST, _MOST = 0.5, 2.0
"""By how much any lens could magnify one direction otherwise than stated."""


class Listed(Protocol):
    """What is asked of a particle file: its tables, and the optics group of each row from 0."""

    @property
    def path(self) -> Path: ...
    @property
    def frame(self) -> pd.DataFrame: ...
    @property
    def optics(self) -> pd.DataFrame | None: ...
    @property
    def optics_group(self) -> np.ndarray: ...
    @property
    def aberrations(self) -> tuple[Aberrations, ...]: ...
    @property
    def unapplied(self) -> tuple[str, ...]: ...


def read_aberrations(table: Listed) -> tuple[Aberrations, ...]:
    """One record per optics group, in the order of `table.optics_group`.

    Raises DataError for what is no number, no list of numbers, or a matrix that no lens has.
    """
    rows = _row_of_each_group(table)
    if not any(name in rows for name in (*BEAM_TILT, ODD, EVEN, *MAGNIFICATION)):
        return (Aberrations(),) * len(rows)
    return tuple(_of_group(rows.iloc[group], f"{table.path}: optics group {group + 1}") for group in range(len(rows)))


def what_applies(aberrations: Aberrations) -> list[str]:
    """Words for the terms that a group has."""
    return [
        *(["beam tilt"] if any(aberrations.beam_tilt_mrad) else []),
        *(["antisymmetric terms"] if any(aberrations.odd_zernike) else []),
        *(["symmetric terms"] if any(aberrations.even_zernike) else []),
        *(["magnification matrix"] if aberrations.distorts else []),
    ]


def not_applied(table: Listed, with_ctf: bool) -> list[str]:
    """A sentence for each kind of aberration that the file lists and that images are not freed of."""
    sentences = list(table.unapplied)
    names = [name for name in (*BEAM_TILT, ODD, EVEN, *MAGNIFICATION) if name in table.frame]
    if table.optics is not None and names:
        sentences.append(
            f"{table.path}: {', '.join(names)} of the particle table {'is' if len(names) == 1 else 'are'} not applied: "
            "as in RELION, only the optics table counts. Move the values there, one optics group for each."
        )
    phases = [group + 1 for group, each in enumerate(table.aberrations) if each.turns_phases or any(each.even_zernike)]
    if phases and not with_ctf:
        sentences.append(
            f"{table.path}: beam tilt and Zernike terms of optics group {', '.join(map(str, phases))} are not applied, "
            "because images are taken as free of the CTF."
        )
    return sentences


def detector_curves(table: Listed) -> list[str]:
    """The files of the detector's response that the particle file names."""
    optics = table.frame if table.optics is None else table.optics
    curves = optics[MTF].astype(str).str.strip() if MTF in optics else pd.Series([], dtype=object)
    return sorted({name for name in curves if name and name.lower() not in ("none", "nan", "null")})


def what_of_detector(curves: list[str]) -> str:
    """What becomes of the detector's response, whose curves are named: RELION leaves it to postprocessing."""
    named = curves[0] if len(curves) == 1 else f"{len(curves)} curves"
    return (
        f"the detector's response ({MTF}: {named}) is not divided out, so maps fall off towards Nyquist; "
        "sharpening, or relion_postprocess with the curve, makes up for it."
    )


def about_detector(table: Listed) -> list[str]:
    """That sentence, of a particle file that names such curves."""
    curves = detector_curves(table)
    return [f"{table.path}: {what_of_detector(curves)}"] if curves else []


def _row_of_each_group(table: Listed) -> pd.DataFrame:
    if table.optics is not None:
        return table.optics
    first = np.unique(table.optics_group, return_index=True)[1]
    return table.frame[[name for name in BEAM_TILT if name in table.frame]].iloc[first]


def _of_group(row: pd.Series, where: str) -> Aberrations:
    m00, m01, m10, m11 = (_number(row, name, where, default) for name, default in _EVEN_LENS.items())
    stretches = np.linalg.svd(np.array([[m00, m01], [m10, m11]]), compute_uv=False)
    if not _LEAST < stretches[1] <= stretches[0] < _MOST:
        raise DataError(
            f"{where} has the magnification matrix {m00:g}, {m01:g}, {m10:g}, {m11:g}, which stretches by "
            f"{stretches[1]:.3g} to {stretches[0]:.3g}; rlnMagMat00 to 11 of a lens are near 1, 0, 0, 1. Correct them."
        )
    return Aberrations(
        beam_tilt_mrad=(_number(row, BEAM_TILT[0], where), _number(row, BEAM_TILT[1], where)),
        odd_zernike=_list(row, ODD, where),
        even_zernike=_list(row, EVEN, where),
        magnification=((m00, m01), (m10, m11)),
    )


def _number(row: pd.Series, name: str, where: str, default: float = 0.0) -> float:
    value = pd.to_numeric(row.get(name, default), errors="coerce")
    if not np.isfinite(value):
        raise DataError(f"{where} has {row[name]!r} in {name}; it must be a number. Correct it.")
    return float(value)


def _list(row: pd.Series, name: str, where: str) -> tuple[float, ...]:
    """Numbers in brackets, as in [0,0,1500]."""
    text = str(row.get(name, "[]")).strip()
    words = [word for word in text.removeprefix("[").removesuffix("]").split(",") if word.strip()]
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        values = (np.nan,)
    if not np.isfinite(values).all() or len(values) > MOST_TERMS:
        raise DataError(
            f"{where} has {text[:60]!r} in {name}; it must be at most {MOST_TERMS} numbers in brackets, as in "
            "[0,0,1500]. Correct it."
        )
    return values
