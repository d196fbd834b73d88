"""`serve`: maps on request, over standard input and output, for programs that show them."""

import argparse
import os
import sys
from typing import BinaryIO

from .run_argument import add_run

DESCRIPTION = """\
Load the model of a run once and make a map for each line of standard input, until it ends: for programs that show the
map of wherever the mouse is. Lines are JSON; a map follows its line on standard output as float32 numbers in the
order z, y, x. The first line of output says that it is ready. One sentence answers a request that is wrong.

  in    {"z": [0.3, -1.2]}                           and at will "minus": [0, 0] (a difference of maps), "half": 1
        {"z": [0.3, -1.2], "images": 8, "like": 17}        particles near, in the view of number 17 (from 0)
  out   {"ready": true, "box": 64, "pixel_size_ang": 1.8, "z_dim": 2}
        {"shape": [64, 64, 64], "type": "<f4", "bytes": 1048576} and so many bytes, or {"error": "One sentence."}
        for images their mean, the map's projection and each of them, with "places" and "away_deg" of the views

examples
  cryodrgn-plugin serve run                          as the explorer in Scipion starts it
  echo '{"z": [0.3, -1.2]}' | cryodrgn-plugin serve run > answers
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_run(parser)


def run(args: argparse.Namespace) -> int:
    answers = _output_for_answers_alone()
    from ..analysis.map_service import serve_maps
    from ..decoders.restore import load_decoder
    from .run_to_look_at import run_to_look_at

    the_run = run_to_look_at(args)
    serve_maps(load_decoder(the_run), the_run.latents().z.shape[1], sys.stdin.buffer, answers, the_run)
    return 0


def _output_for_answers_alone() -> BinaryIO:
    """Standard output as it was; whatever else is printed from now on goes to standard error."""
    sys.stdout.flush()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return answers
