"""Optics groups: what box and pixel size they state, whether the stacks agree, and whether all show protein alike."""

import numpy as np

from ..data.dataset import ParticleDataset
from ..data.sign import SAMPLE, Contrast, measure_contrast
from ..geometry.shifts import shift_phases
from ..io.optics_terms import detector_curves, not_applied, what_applies, what_of_detector
from ..io.particles import ParticleTable
from ..io.stacks import StackReader
from ..vetting.verdicts import OK, STOP, WARN, Verdict

AGREE = 0.01
"""Relative difference of two pixel sizes that are still called equal."""
UNSET = (0.0, 1.0)
"""Pixel sizes that programs leave in a header they do not fill in."""


def check_optics(table: ParticleTable, stacks: StackReader) -> Verdict:
    """The pixel sizes and boxes of the groups, against the headers of the stacks."""
    pixels = table.pixel_size_ang
    groups = [np.flatnonzero(table.optics_group == g) for g in np.unique(table.optics_group)]
    described = [(int(stacks.box[rows[0]]), float(pixels[rows[0]]), len(rows)) for rows in groups]
    figures = {"groups": [{"box": b, "pixel_size_ang": p, "particles": n} for b, p, n in described]}
    headers = np.array([header.pixel_size_ang for header in stacks.headers])[stacks.stack]
    differs = ~np.isin(headers, UNSET) & (np.abs(headers / pixels - 1) > AGREE)
    if differs.any():
        row = int(np.flatnonzero(differs)[0])
        return Verdict(
            "pixel size in files",
            WARN,
            f"The star file says {pixels[row]:.4g} Å per pixel for row {row + 1:,}, but the header of its stack "
            f"{headers[row]:.4g} Å ({differs.sum():,} such rows); find out which is right.",
            {**figures, "header_pixel_size_ang": float(headers[row]), "differing": int(differs.sum())},
        )
    words = "; ".join(f"{n:,} particles of {b} pixels at {p:.4g} Å" for b, p, n in described[:6])
    more = f" and {len(described) - 6} more" if len(described) > 6 else ""
    count = "One optics group" if len(groups) == 1 else f"{len(groups)} optics groups"
    return Verdict("pixel size in files", OK, f"{count}: {words}{more}.", figures)


def check_aberrations(dataset: ParticleDataset) -> Verdict | None:
    """Which aberrations of the optics groups images are freed of; None where the file lists none."""
    table, with_ctf = dataset.table, dataset.ctf_params is not None
    listed = {group + 1: what_applies(each) for group, each in enumerate(table.aberrations)}
    left = not_applied(table, with_ctf)
    if not left and not any(listed.values()):
        return None
    words = "; ".join(f"optics group {group} has {', '.join(terms)}" for group, terms in listed.items() if terms)
    figures = {"groups": {str(group): terms for group, terms in listed.items()}}
    if left:
        return Verdict("aberrations", WARN, " ".join(left), figures)
    return Verdict("aberrations", OK, f"O{words[1:]}, of which images are freed as they are read.", figures)


def check_detector(table: ParticleTable) -> Verdict | None:
    """What becomes of the detector's response; None where the file names no curve of it."""
    curves = detector_curves(table)
    if not curves:
        return None
    sentence = what_of_detector(curves)
    return Verdict("detector", OK, f"{sentence[0].upper()}{sentence[1:]}", {"curves": curves})


def check_sign(dataset: ParticleDataset) -> Verdict:
    """Whether protein is white, in every optics group."""
    contrasts = {int(group): _contrast(dataset, int(group)) for group in np.unique(dataset.optics_group)}
    figures = {"standard_errors": {str(group + 1): round(contrast.z, 2) for group, contrast in contrasts.items()}}
    signs = {group: contrast.sign for group, contrast in contrasts.items() if contrast.is_known}
    if len(set(signs.values())) > 1:
        names = {sign: ", ".join(str(g + 1) for g, s in signs.items() if s == sign) for sign in (1, -1)}
        return Verdict(
            "sign",
            STOP,
            f"Protein is white in optics group {names[1]} and black in {names[-1]}; invert one of them.",
            figures,
        )
    if not signs:
        return Verdict(
            "sign",
            WARN,
            "Whether protein is white or black could not be measured: the images are too faint, too few, or not "
            "centred; RELION's default, white, will be assumed.",
            figures,
        )
    strength = max(abs(contrast.z) for contrast in contrasts.values())
    if set(signs.values()) == {-1}:
        return Verdict(
            "sign",
            WARN,
            f"Protein is black in these images ({strength:.0f} standard errors); this program inverts them as it "
            "reads, RELION does not: extract them with inverted contrast for use there.",
            figures,
        )
    return Verdict("sign", OK, f"Protein is white ({strength:.0f} standard errors).", figures)


def _contrast(dataset: ParticleDataset, group: int) -> Contrast:
    """The contrast of one group's images as they are stored, not as they are inverted on reading."""
    rows = dataset.rows[np.flatnonzero(dataset.optics_group == group)[:SAMPLE]]
    source = dataset.source
    spectra = source.spectra(rows)
    if source.shifts_ang is not None:
        spectra = spectra * shift_phases(-source.shifts_ang[rows], source.freqs_per_ang)
    contrast = measure_contrast(spectra, source.ctf(rows), source.lattice)
    return Contrast(contrast.z * source.sign)
