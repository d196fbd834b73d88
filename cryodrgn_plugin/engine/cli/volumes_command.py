"""`volumes`: maps at chosen particles or latent coordinates, in the order asked for."""

import argparse
from pathlib import Path

from .run_argument import add_run, opened

DESCRIPTION = """\
Make maps from a finished run: vol_000.mrc, vol_001.mrc, … in the order asked for, white density, with the pixel size
of the data (after downsampling, if the run downsampled).

examples
  cryodrgn-plugin volumes run --particles 0,17,42 --out maps      at the latents of these rows of the star file (from 0)
  cryodrgn-plugin volumes run --particles 0-9 --out maps
  cryodrgn-plugin volumes run --z points.txt --out maps           one point per line: coordinates separated by spaces
  cryodrgn-plugin volumes run --z path.npz --out maps --half-maps
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--particles", metavar="LIST", help="rows of the star file, from 0, as 0,17,42 or 0-9")
    where.add_argument("--z", metavar="FILE", help="latent coordinates: .txt, .npy, or .npz with an array z; (n, Z)")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the maps; made if absent")
    parser.add_argument(
        "--half-maps",
        action="store_true",
        help="also vol_000_half1.mrc and _half2.mrc, for resolution; only for runs that were finished in closed form",
    )


def run(args: argparse.Namespace) -> int:
    from ..analysis.latent_points import particles_at, read_points
    from ..analysis.volumes import write_series
    from ..decoders.restore import load_decoder
    from .progress_bar import shown

    the_run = opened(args)
    latents = the_run.latents()
    if args.particles:
        z = latents.z[particles_at(latents, args.particles, args.run)]
    else:
        z = read_points(args.z, latents.z.shape[1])
    with shown(the_run):
        files = write_series(load_decoder(the_run), z, Path(args.out), the_run.progress, half_maps=args.half_maps)
        the_run.reporter.line(f"{len(files)} maps in {args.out}")
    return 0
