"""`reconstruct`: one map, with half-maps and resolution, from particles with poses."""

import argparse
from collections.abc import Callable
from pathlib import Path

from ..config import recipe_config
from ..progress import Reporter
from ..reconstruction.reconstruct_options import RECONSTRUCT_SETTINGS, ReconstructOptions
from .option_flags import add_options, chosen_options
from .setting_flags import add_settings, given_settings

DESCRIPTION = """\
Reconstruct one map from particles with poses and CTF (a RELION star file) by weighted backprojection. The quickest
check that poses, CTF, pixel size and sign are right, and the map that every heterogeneous run should improve on.

examples
  cryodrgn-plugin reconstruct particles.star --out rec
  cryodrgn-plugin reconstruct particles.star --out rec --mask mask.mrc
  cryodrgn-plugin reconstruct particles.star --out quick --data.box 64 --data.max_particles 5000

what comes out
  map.mrc                        all particles, Wiener-filtered by the FSC of the halves
  run_half1_class001_unfil.mrc   the halves, unfiltered, under the names that relion_postprocess takes
  mask.mrc, fsc.csv, fsc.png     the mask used; FSC curves: corrected for the mask, masked, unmasked, random phases
  fsc_directions.csv and .png    resolution along 96 directions: uneven views make some of them bad
  reconstruction.json            resolution at 0.143 and 0.5, and the names of these files
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("particles", metavar="PARTICLES.star", help="particles with poses and CTF")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results; made if absent")
    add_options(parser, ReconstructOptions)
    add_settings(parser, RECONSTRUCT_SETTINGS)


def run(args: argparse.Namespace) -> int:
    options = chosen_options(args, ReconstructOptions)
    config = recipe_config("homogeneous", {**given_settings(args), "particles": args.particles})
    from ..analysis.reconstruction_files import write_reconstruction
    from ..reconstruction.homogeneous import reconstruct
    from ..vetting.at_start import vetted
    from .progress_bar import reporter

    particles = vetted(config)
    for sentence in particles.sentences:
        print(sentence)
    dataset = particles.dataset
    with reporter() as shown:
        result = reconstruct(dataset, options.mask, options.halves, config.seed, in_tenths(shown, "reconstruct"))
    write_reconstruction(result, Path(args.out))
    pixel = f"{result.box}³ voxels of {result.pixel_size_ang:.4g} Å"
    print(f"{result.n_particles:,} particles, {pixel}, halves: {result.halves_from}")
    print(f"resolution {result.resolution_ang():.2f} Å at FSC 0.143, {result.resolution_ang(0.5):.2f} Å at 0.5")
    if result.reaches_nyquist:
        print("This is the limit of the box (two pixels); a larger box may show more.")
    print(f"by direction {result.directions.sentence}")
    if result.directions.warning:
        print(result.directions.warning)
    print(f"map, half-maps, mask and curves are in {args.out}")
    return 0


def in_tenths(shown: Reporter, stage: str) -> Callable[[int, int], None]:
    """A progress callback that tells `shown` of each tenth of the work and no more."""
    told = 0

    def progress(done: int, total: int) -> None:
        nonlocal told
        if 10 * done // total > told:
            told = 10 * done // total
            shown.step(stage, told, 10, {"particles": done})

    return progress
