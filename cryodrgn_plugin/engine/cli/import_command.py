"""`import`: what other programs have made, as particle files and runs of ours."""

import argparse
import shlex
import sys
from pathlib import Path

from ..importing.import_options import ImportOptions
from .option_flags import add_options, chosen_options

DESCRIPTION = """\
Take up what cryoDRGN, cryoSPARC or any other program has made.

what comes in, and what is made of it
  a folder of a cryoDRGN training      a run: its latents, and its network, evaluated here; nothing in it is executed
  particles with --latents             a run: those latents, with maps solved here on half-sets
  a .cs file with 3DVA components      the same
  a stack with --ctf and --poses       a star file of particles

Of a run every command can be asked: analyze, landscape, trajectory, states, volumes, select, validate, export.

examples
  cryodrgn-plugin import 004_vae128 --out run
  cryodrgn-plugin import 004_vae128 --out run --epoch 20 --particles /data/particles.128.mrcs
  cryodrgn-plugin import particles.128.mrcs --poses poses.pkl --ctf ctf.pkl --out particles.star
  cryodrgn-plugin import particles.star --latents embedding.npy --out run
  cryodrgn-plugin import J42_particles.cs --out run

what comes out (docs/run_folder.md): a run as `train` leaves it; particles that no file of theirs describes are in
RUN/imported.star.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.usage = "%(prog)s SOURCE --out RUN|PARTICLES.star [--overwrite] [--OPTION VALUE …]"
    parser.add_argument("source", metavar="SOURCE", help="folder of a cryoDRGN training, a particle file, or a stack")
    parser.add_argument("--out", required=True, metavar="RUN|FILE.star", help="folder of the run, or the star file")
    parser.add_argument("--overwrite", action="store_true", help="replace the run or file that is there")
    add_options(parser, ImportOptions)


def run(args: argparse.Namespace) -> int:
    from ..errors import DataError
    from ..importing.import_latents import import_latents
    from ..importing.import_particles import import_particles, makes_run
    from ..importing.import_training import import_training

    options: ImportOptions = chosen_options(args, ImportOptions)
    source, out = Path(args.source), Path(args.out)
    if makes_run(source, options):
        make = import_training if source.is_dir() else import_latents
        command = shlex.join(["cryodrgn-plugin", *sys.argv[1:]])
        make(source, out, options, overwrite=args.overwrite, command=command)
        return 0
    if out.exists() and not args.overwrite:
        raise DataError(f"{out} is there already; overwrite it, or choose another name.")
    table = import_particles(source, out, options)
    print(f"{table.n:,} particles are in {out}.")
    return 0
