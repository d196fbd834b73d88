"""`validate`: whether what a run shows is real, with one page that says so in plain words.

docs/run_folder.md describes the results.
"""

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..analysis.cautions import about_focus
from ..analysis.run_particles import RunParticles, images_of, particles_of, shown_by
from ..collapse import has_collapsed
from ..data.copies import repeated
from ..data.dataset import ParticleDataset
from ..errors import DataError
from ..imaging.noise import estimate_noise
from ..likelihood.whitened import WhitenedImages
from ..reconstruction.directional_fsc import DirectionalFsc, directional_fsc
from ..reconstruction.masks import mask_from_map
from ..reconstruction.view_gaps import view_gaps
from ..report_writer import Report
from ..run import Run
from ..run_origin import IMPORTED
from .agreement import agreement
from .consensus import consensus
from .halves import deal, keep_halves, train_half
from .heterogeneity import permutation_test
from .leakage import Leak, leaks, quantities_of
from .model_finding import ModelFinding
from .sensitivity import Sensitivity
from .shared_contrast import part_amplitudes
from .state_populations import StatePopulations, state_populations
from .tied_images import TiedImages
from .validation_findings import Findings, HalvesFound
from .validation_options import ValidateOptions
from .verdict import judge

PAGE = "validation.html"
LEAST_PARTICLES = 200


def validate(run: Run, options: ValidateOptions, also: Sequence[Run] = (), *, resume: bool = False) -> Path:
    """Validate a finished run; returns the path of the index.

    `also` are other runs of the same particles to compare with. `resume` goes on with the halves in RUN/validating,
    which a validation that was stopped leaves there; the result is that of an uninterrupted one.

    Raises
    ------
    DataError : a homogeneous run, too few particles, or a run of other particles.
    """
    latents = run.latents()
    if not latents.z.shape[1]:
        raise DataError(f"{run.path} has one map and no latent space; there is nothing to validate.")
    if latents.unfinished:
        raise DataError(f"{run.path} stands {latents.unfinished}; resume the training, and validate what it ends with.")
    particles = particles_of(run)
    shown = shown_by(run, particles)
    tied = TiedImages.of(particles, shown)
    if tied.count < LEAST_PARTICLES:
        raise DataError(f"{run.path} has {tied.count} particles; a validation needs at least {LEAST_PARTICLES}.")
    dataset = images_of(run)
    images = WhitenedImages(dataset, estimate_noise(dataset, options.seed))
    if not resume:
        shutil.rmtree(run.validating_dir, ignore_errors=True)
    with run.report("validation", options) as out:
        halves = _halves(run, particles, dataset, images, shown, tied, options) if options.halves else None
        findings = _measured(run, particles, images, tied, halves, options, also)
        _write(run, findings, options, out)
        if options.halves and options.keep_halves:
            keep_halves(run, out)
        of_import = _about_import(run, halves, options.seed)
        for sentence in (findings.verdict.headline, *findings.verdict.sentences, *of_import, *_about_copies(shown)):
            out.say(sentence)
        out.conclusion = f"The page is {out.destination / PAGE}."
    shutil.rmtree(run.validating_dir, ignore_errors=True)
    return out.index_file


def _about_import(run: Run, halves: HalvesFound | None, seed: int) -> list[str]:
    """That the halves were trained by another program than the run, and whether they find what it has found."""
    if halves is None or IMPORTED not in run.info.get("notes", {}):
        return []
    distinct = np.flatnonzero(halves.once)
    agreed = [agreement(run.latents().z, placed, seed, distinct) for placed in halves.latents]
    best, other = (f"{one.correlation[:1].sum():.2f}{'' if one.shared else ', no more than chance'}" for one in agreed)
    trained = f"The run was imported; its halves were trained by the recipe {run.config.recipe}."
    return [f"{trained} Its latents agree with where these place all particles at correlations of {best} and {other}."]


def _about_copies(shown: np.ndarray) -> list[str]:
    """A word on images that stand in the set more than once."""
    again = int(repeated(shown).sum())
    if not again:
        return []
    found = f"{again:,} of {len(shown):,} images are copies of another"
    return [f"{found}: they stayed in one half, and each image was counted once."]


def _measured(
    run: Run,
    particles: RunParticles,
    images: WhitenedImages,
    tied: TiedImages,
    halves: HalvesFound | None,
    options: ValidateOptions,
    also: Sequence[Run],
) -> Findings:
    z = run.latents().z
    varies = len(np.unique(z, axis=0)) > 1 and not has_collapsed(run.latents())
    quantities = quantities_of(particles, tied)
    states = state_populations(run, images, quantities.get("micrograph"), tied, options) if varies else None
    run.progress("populations", 1, 1)
    leaked = _leaks(run, images, states, quantities, tied, options) if states else []
    run.progress("leakage", 1, 1)
    n_states = len(states.counted.share) if states else 1
    others = [consensus(run, other, n_states, options.seed) for other in also]
    trained = (halves.test, halves.agreement, halves.confidence) if halves else None
    directions = _directions(halves, images_of(run)) if halves else None
    seen = Sensitivity.of(run)
    model = ModelFinding.of(run)
    more = [about_focus(run.config), model.sentence if model else ""]
    verdict = judge(trained, leaked, others, options.significance, directions, seen, more)
    return Findings(tied.count, halves, leaked, others, states, verdict, directions, seen, model)


def _leaks(
    run: Run,
    images: WhitenedImages,
    states: StatePopulations,
    quantities: dict[str, np.ndarray],
    tied: TiedImages,
    options: ValidateOptions,
) -> list[Leak]:
    """Of what is known of each particle, of errors of pose and defocus that the training found, and of the contrast of
    its images."""
    found = run.latents()
    if found.pose_correction is not None:
        turned, moved = found.pose_correction[:, :3], found.pose_correction[:, 3:]
        quantities = {**quantities, "error of the rotation": turned, "error of the shift": moved}
    if found.defocus_correction is not None and np.ptp(found.defocus_correction):
        quantities = {**quantities, "error of the defocus": found.defocus_correction}
    draws = {"permutations": options.permutations, "tested": options.tested, "seed": options.seed}
    parts = part_amplitudes(images, states.mean_map)
    return leaks(found.z, states.membership, quantities, parts=parts, tied=tied, **draws)


def _directions(halves: HalvesFound, dataset: ParticleDataset) -> DirectionalFsc:
    """FSC by direction of the mean maps of the two halves, inside a mask around both."""
    mask = mask_from_map(np.add(*halves.mean_maps) / 2, dataset.pixel_size_ang)
    return directional_fsc(*halves.mean_maps, dataset.pixel_size_ang, mask, views=view_gaps(dataset.rotations))


def _halves(
    run: Run,
    particles: RunParticles,
    dataset: ParticleDataset,
    images: WhitenedImages,
    shown: np.ndarray,
    tied: TiedImages,
    options: ValidateOptions,
) -> HalvesFound:
    half = deal(particles, shown, options.particles, options.seed)
    models = [train_half(run, particles, half, number, options.nodes, options.seed) for number in (0, 1)]
    latents = [model.place(images, tied) for model in models]
    agreed = agreement(latents[0], latents[1], options.seed, distinct=np.flatnonzero(tied.once))
    test = permutation_test(
        dataset,
        images,
        np.where(repeated(shown), -1, half),
        (models[0], models[1]),
        permutations=options.permutations,
        tested=options.tested,
        seed=options.seed,
        report=run.progress,
    )
    means = models[0].mean_map, models[1].mean_map
    return HalvesFound(half, tied.once, (latents[0], latents[1]), agreed, agreed.confidence(), test, means)


# --- what is written ------------------------------------------------------------------------------------------------


def _write(run: Run, findings: Findings, options: ValidateOptions, out: Report) -> None:
    from .validation_page import write_page

    out.index |= {**summary_of(findings), "files": {}, "figures": {}}
    page = out.file("page", PAGE)
    if findings.halves:
        out.arrays(
            rows=run.latents().rows,
            confidence=findings.halves.confidence.astype(np.float32),
            half=findings.halves.half,
            z_half1=findings.halves.latents[0].astype(np.float32),
            z_half2=findings.halves.latents[1].astype(np.float32),
        )
    write_page(page, run, findings, options, out)


def summary_of(findings: Findings) -> dict[str, Any]:
    """All findings as JSON values."""
    summary: dict[str, Any] = {"verdict": dataclasses.asdict(findings.verdict)}
    if findings.halves:
        test, halves = findings.halves.test, findings.halves.agreement
        summary["heterogeneity"] = {
            "gain_nats": test.gain,
            "chance_mean_nats": float(test.by_chance.mean()),
            "chance_sd_nats": float(test.by_chance.std()),
            "p_value": test.p_value,
            "contrast_spread": test.contrast_spread,
            "particles": test.tested,
        }
        summary["halves"] = {
            "particles": findings.halves.particles,
            "correlation": [round(float(rho), 4) for rho in halves.correlation],
            "chance": round(halves.chance, 4),
            "shared": halves.shared,
            "median_confidence": round(float(np.median(findings.halves.confidence)), 4),
        }
    summary["sensitivity"] = findings.seen and dataclasses.asdict(findings.seen)
    summary["directions"] = findings.directions and findings.directions.entry()
    summary["model"] = findings.model and findings.model.entry()
    summary["leakage"] = [dataclasses.asdict(leak) for leak in findings.leaks]
    summary["populations"] = [] if findings.states is None else _population_rows(findings.states)
    summary["consensus"] = [
        {**dataclasses.asdict(other), "correlation": [round(float(rho), 4) for rho in other.correlation]}
        for other in findings.others
    ]
    return summary


def _population_rows(states: StatePopulations) -> list[dict[str, Any]]:
    rows = []
    for k in range(len(states.counted.share)):
        row: dict[str, Any] = {"state": k + 1}
        for name, populations in (("counted", states.counted), ("likely", states.likely)):
            row[name] = [round(float(value[k]), 5) for value in (populations.share, populations.low, populations.high)]
        rows.append(row)
    return rows
