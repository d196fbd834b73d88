"""`preflight`: whether a particle set is what its star file says, before hours are spent on it."""

import argparse
from pathlib import Path

from ..preflight.preflight_options import PreflightOptions
from .option_flags import add_options, chosen_options

DESCRIPTION = """\
Look at some of the particles of a RELION star file for seconds and judge them in plain words: unusable or repeated
images, black or white protein, whether CTF, poses and pixel size belong to the images, what was done about the CTF
before, missing views, and the map that the poses give. Wrong poses, CTFs and pixel sizes are told from right ones by
what a map of half the images explains of the other half.

examples
  cryodrgn-plugin preflight particles.star --out checked
  cryodrgn-plugin preflight particles.star --out checked --particles 50000 --box 128
  cryodrgn-plugin preflight particles.star --out checked --strict && cryodrgn-plugin train particles.star --out run

what comes out
  preflight.png                  one page: the verdicts and the pictures they were read from
  preflight.json                 the verdicts (ok, warn, stop), each with its numbers
  map.mrc, map_half1.mrc, …      the map of the images looked at, and of its halves
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("particles_file", metavar="PARTICLES.star", help="particles, with or without poses and CTF")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for the results; made if absent")
    parser.add_argument("--strict", action="store_true", help="end with exit code 2 when a verdict says stop")
    add_options(parser, PreflightOptions)


def run(args: argparse.Namespace) -> int:
    options = chosen_options(args, PreflightOptions)
    from ..errors import DataError
    from ..preflight.preflight_report import PAGE, preflight
    from ..vetting.verdicts import STOP
    from .progress_bar import reporter

    with reporter() as shown:

        def progress(stage: str, done: int, total: int) -> None:
            shown.step(stage, min(done, total), total, {})

        survey = preflight(Path(args.particles_file), Path(args.out), options, progress)
    for verdict in survey.verdicts:
        print(f"{verdict.level:4}  {verdict.check}: {verdict.sentence}")
    print(f"the page is {Path(args.out) / PAGE}")
    stops = [verdict.sentence for verdict in survey.verdicts if verdict.level == STOP]
    if args.strict and stops:
        raise DataError(stops[0])
    return 0
