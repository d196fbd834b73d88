"""`refine-poses`: poses that are nearly right made better, particle by particle."""

import argparse
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import RunConfig, recipe_config
from ..poses.refine_options import RefineOptions
from .option_flags import add_options, chosen_options
from .reconstruct_command import in_tenths
from .setting_flags import add_settings, given_settings

if TYPE_CHECKING:
    import numpy as np

    from ..ab_initio.refinement import KnownPoses, Refinement
    from ..data.dataset import ParticleDataset
    from ..io.particles import ParticleTable
    from ..ranks import Ranks
    from ..reconstruction.homogeneous import Reconstruction

DESCRIPTION = """\
Improve poses that are nearly right: those of a consensus refinement, or those that `cryodrgn-plugin abinitio` found.
Each particle climbs its own likelihood by small turns and shifts, within bounds, against maps of the half of the
particles that it is not in; then the maps are solved again.

All images of a tilt pair or a tilt series turn as one particle and keep the angles that the stage has put between them;
each keeps a shift of its own, unless --moves says that the particle moves.

Given a run, its poses are refined; where it has latent coordinates the maps follow them, so that an image is compared
with the molecule as it is in that image, and species each have maps of their own.

examples
  cryodrgn-plugin refine-poses particles.star --out refined
  cryodrgn-plugin refine-poses run --out refined --data.box 128                finer maps than the run had
  cryodrgn-plugin refine-poses particles.star --out refined --max_angle_deg 3 --max_shift_ang 4
  cryodrgn-plugin refine-poses optimisation_set.star --out refined --moves particle     weak images, well aligned
  cryodrgn-plugin refine-poses particles.star --out refined --resume           go on after the last finished round
  CRYODRGN_PLUGIN_PROCESSES=gpu cryodrgn-plugin refine-poses run --out refined --device cuda     on all GPUs

what comes out
  poses.star                     the particles, every original column, with the refined angles and origins and, as
                                 rlnLogLikeliContribution, how well each fits; of tilt series a row for each image
  posed_particles.star           of tilt series: the particles, a row for each, with the optimisation set that RELION 5
                                 reads them by
  map.mrc and its half-maps      from the refined poses, as `cryodrgn-plugin reconstruct` makes them, with mask and FSC
  refinement.json                what each round has done, and the resolution before and after
  refinement.npz                 where it stands after each round, for --resume; gone when it is finished
"""

POSES, PARTICLES, SUMMARY = "poses.star", "posed_particles.star", "refinement.json"
"""Files of the results."""
CHECKPOINT = "refinement.npz"
"""Where a refinement stands, until it is finished."""
PLACE = ("device", "backend")
"""Settings that say where it computes; a refinement may go on elsewhere."""
IMAGES = ("data.box", "data.window", "data.sign", "data.ctf_applied", "data.max_particles", "data.cache_mb")
SETTINGS = ("root", "seed", *PLACE, *IMAGES)
"""The settings of a run that mean something here."""


@dataclass(frozen=True)
class Subject:
    """What is refined."""

    dataset: "ParticleDataset"
    table: "ParticleTable"
    """Where the columns of the result come from."""
    z: "np.ndarray | None" = None
    species: "np.ndarray | None" = None


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument(
        "particles", metavar="RUN|PARTICLES.star", help="a finished run, or particles with poses and CTF"
    )
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results; made if absent")
    parser.add_argument("--resume", action="store_true", help="go on after the last round that was finished in DIR")
    add_options(parser, RefineOptions)
    add_settings(parser, SETTINGS)


def run(args: argparse.Namespace) -> int:
    options = chosen_options(args, RefineOptions)
    path, settings = Path(args.particles), given_settings(args)
    from ..data.tilt_images import find_series
    from ..ranks import joined

    with joined() as ranks:
        subject = run_subject(path, settings) if path.is_dir() else star_subject(path, settings)
        series = find_series(subject.dataset)
        particles = subject.dataset.n if series is None else series.n
        if series:
            print(f"{particles:,} particles with {subject.dataset.n:,} images; those of a particle turn together")
        before, refinement, after = _refined(args, subject, options, settings, ranks)
        if ranks.own == 0:
            _write(Path(args.out), subject, particles, options, before, refinement, after)
    return 0


def _refined(
    args: argparse.Namespace, subject: Subject, options: RefineOptions, settings: dict[str, str], ranks: "Ranks"
) -> "tuple[float, Refinement, Reconstruction]":
    """The resolution before, the refinement by all processes, and the map of the poses that it has found."""
    from ..ab_initio.refinement import refine_poses
    from ..ab_initio.refinement_checkpoint import SOURCE, load_refinement, save_refinement
    from ..io.fingerprint import fingerprint
    from ..reconstruction.homogeneous import reconstruct
    from ..slicing.compute import Compute
    from .progress_bar import reporter

    dataset, seed, checkpoint = subject.dataset, int(settings.get("seed", 0)), Path(args.out) / CHECKPOINT
    asked = {"particles": args.particles, "number of particles": dataset.n, **settings, **asdict(options)}
    asked = {name: value for name, value in asked.items() if name not in PLACE}
    asked[SOURCE] = fingerprint(dataset.table, dataset.source.stacks)
    done = load_refinement(checkpoint, asked) if args.resume else None
    ranks.require_same(len(done.rounds) if done else 0)
    with reporter() as shown:
        before = reconstruct(dataset, seed=seed, ranks=ranks).resolution_ang()
        refinement = refine_poses(
            dataset, options, z=subject.z, species=subject.species, seed=seed, progress=in_tenths(shown, "refine"),
            told=partial(save_refinement, checkpoint, asked) if ranks.own == 0 else None, done=done, ranks=ranks,
            compute=Compute.asked_for(settings.get("device", "auto"), settings.get("backend", "auto")),
        )  # fmt: skip
        found = refinement.poses
        after = reconstruct(dataset.with_poses(found.rotations, found.shifts_ang), seed=seed, ranks=ranks)
    return before, refinement, after


def _write(
    out: Path,
    subject: Subject,
    particles: int,
    options: RefineOptions,
    before: float,
    refinement: "Refinement",
    after: "Reconstruction",
) -> None:
    """All results, and what has come of them in a few lines; the checkpoint goes."""
    from ..analysis.reconstruction_files import write_reconstruction

    write_reconstruction(after, out)
    for sentence in write_poses(out, subject, refinement.poses):
        print(sentence)
    resolution = {"before": round(before, 3), "after": round(after.resolution_ang(), 3)}
    _write_summary(out / SUMMARY, particles, options, refinement.rounds, resolution)
    for step in refinement.rounds:
        print(f"round {step.number}: median turn {step.median_turn_deg:.2f}°, move {step.median_move_ang:.2f} Å")
    print(
        f"{particles:,} particles; FSC 0.143 of the halves at {before:.2f} Å before, {resolution['after']:.2f} Å after"
    )
    print(f"poses.star and the map are in {out}")
    (out / CHECKPOINT).unlink()


def star_subject(path: Path, settings: dict[str, str]) -> Subject:
    """The particles of a star file with the poses it has."""
    from ..vetting.at_start import vetted

    config = recipe_config("homogeneous", {**settings, "particles": str(path)})
    particles = vetted(config)
    for sentence in particles.sentences:
        print(sentence)
    return Subject(particles.dataset, particles.dataset.table)


def run_subject(path: Path, settings: dict[str, str]) -> Subject:
    """The particles of a finished run with the poses, latent coordinates and species that it has found."""
    import numpy as np

    from ..data.dataset import ParticleDataset
    from ..geometry.rotations import matrices_from_euler
    from ..io.found_poses import CLASS
    from ..run import Run

    run = Run.open(path)
    latents, table = run.latents(), run.particles()
    config = _changed(replace(run.config, data=run.data_settings), settings)
    dataset = ParticleDataset.open(run.given_file, config.data, config.root, run.config.seed)
    for note in dataset.notes:
        print(note)
    latent_of_row = {int(row): i for i, row in enumerate(latents.rows)}
    dataset = dataset.subset(np.isin(dataset.rows, latents.rows))
    index = np.array([latent_of_row[int(row)] for row in dataset.rows], np.int64)
    species = None
    if run.poses_file.exists():
        angles, shifts_ang = table.euler_deg, table.shifts_ang
        assert angles is not None and shifts_ang is not None, "poses.star always has angles and origins"
        dataset = dataset.with_poses(matrices_from_euler(angles[dataset.rows]), shifts_ang[dataset.rows])
        if config.ab_initio.species != 1 and CLASS in table.frame:
            species = table.frame[CLASS].to_numpy()[dataset.rows]
    return Subject(dataset, table, latents.z[index] if latents.z.shape[1] else None, species)


def write_poses(out: Path, subject: Subject, poses: "KnownPoses") -> list[str]:
    """The particle file with the refined poses; classes stay as they were. Of tilt series it lists images, and their
    particles are written beside it; returns what those leave out."""
    from ..io.found_poses import posed_frame
    from ..io.particle_lists import write_posed

    table, rows = subject.table, subject.dataset.rows
    frame = posed_frame(table, rows, poses.rotations, poses.shifts_ang, score=poses.score)
    return write_posed(out / POSES, table, frame, out / PARTICLES)


def _changed(config: RunConfig, settings: dict[str, str]) -> RunConfig:
    """The run's settings of data and root with those given on top."""
    asked = recipe_config("homogeneous", settings)
    data = {
        name.removeprefix("data."): getattr(asked.data, name.removeprefix("data.")) for name in settings if "." in name
    }
    return replace(config, data=replace(config.data, **data), root=asked.root or config.root)


def _write_summary(path: Path, n: int, options: RefineOptions, rounds: tuple, resolution: dict[str, float]) -> None:
    from ..io.writing import write_text

    summary = {
        "schema": 1,
        "particles": n,
        "options": asdict(options),
        "rounds": [asdict(step) for step in rounds],
        "resolution_ang": resolution,
    }
    write_text(path, json.dumps(summary, indent=2) + "\n")
