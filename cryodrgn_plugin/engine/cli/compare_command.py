"""`compare`: two runs of the same particles with each other, or a run with the truth it was simulated from."""

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from ..io.writing import write_text

DESCRIPTION = """\
Compare the latent spaces of two runs of the same particles: two seeds, two recipes, this program's files and another
setting. Axes, scales and numbers of dimensions may differ, for only neighbours are compared. Neighbourhood similarity
is the share of nearest neighbours in common; information imbalance is 0 where one space predicts the other and 1 where
it says nothing of it. Or compare a run of a simulated set with its truth, per image and per conformation.

examples
  cryodrgn-plugin compare run_seed0 run_seed1
  cryodrgn-plugin compare run --truth sim --images 100
  cryodrgn-plugin compare fast paper --out comparison.json
"""

ROWS = {
    "particles": ("particles in common", "{:,}"),
    "compared": ("among which neighbours were looked for", "{:,}"),
    "similarity": ("neighbours in common", "{:.1%}"),
    "by_chance": ("by chance", "{:.1%}"),
    "a_to_b": ("information imbalance, first to second", "{:.3f}"),
    "b_to_a": ("second to first", "{:.3f}"),
    "coordinates": ("coordinates, |rank correlation|", "{:.3f}"),
    "maps": ("maps", "{:,}"),
    "fsc_area": ("area under the FSC, box", "{:.3f}"),
    "moving_fsc_area": ("area under the FSC, where it moves", "{:.3f}"),
    "resolution_px": ("FSC 0.5 at", "{:.2f} px"),
    "resolution_ang": ("", "{:.2f} Å"),
}
"""Figures in the order of the table: what to call them, and how to write them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("runs", nargs="+", metavar="RUN", help="two runs, or one with --truth")
    parser.add_argument("--truth", metavar="DIR", help="folder that `simulate` wrote")
    parser.add_argument("--neighbors", type=int, default=20, metavar="N", help="nearest neighbours (default 20)")
    parser.add_argument("--images", type=int, default=100, metavar="N", help="images with --truth (default 100)")
    parser.add_argument("--states", type=int, default=20, metavar="N", help="true states with --truth (default 20)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of what is drawn at random (default 0)")
    parser.add_argument("--out", metavar="FILE.json", help="write the figures here, with the FSC curves")


def run(args: argparse.Namespace) -> int:
    if len(args.runs) != (1 if args.truth else 2):
        raise ConfigError("Give two runs to compare with each other, or one run and --truth.")
    for name in ("neighbors", "images", "states"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name} is {getattr(args, name)}; it must be at least 1.")
    sections = _with_truth(args) if args.truth else {"latent spaces": _with_each_other(args)}
    for title, figures in sections.items():
        print(title)
        for key, (words, form) in ROWS.items():
            if figures.get(key) is not None:
                print(f"  {words:40} {form.format(figures[key])}")
    if args.out:
        write_text(args.out, json.dumps({"runs": args.runs, **sections}, indent=1) + "\n")
    return 0


def _with_each_other(args: argparse.Namespace) -> dict[str, Any]:
    import numpy as np

    from ..analysis.latent_comparison import compare_latents
    from ..analysis.truth import rank_correlation
    from ..run import Run

    runs = [Run.open(path) for path in args.runs]
    if len({run.given_file.resolve() for run in runs}) > 1:
        raise DataError(f"{args.runs[0]} and {args.runs[1]} were made from different files; compare runs of one file.")
    latents = [run.latents() for run in runs]
    rows, *shared = np.intersect1d(*(own.rows for own in latents), return_indices=True)
    if len(rows) < 10:
        raise DataError(f"{args.runs[0]} and {args.runs[1]} have {len(rows)} particles in common; too few to compare.")
    spaces = [_positions(run, own.z[index]) for run, own, index in zip(runs, latents, shared, strict=True)]
    comparison = compare_latents(*spaces, neighbors=args.neighbors, seed=args.seed)
    along = [own.coordinate for own in latents]
    coordinates = None
    if along[0] is not None and along[1] is not None:
        coordinates = rank_correlation(along[0][shared[0]], along[1][shared[1]])
    return {"particles": len(rows), **dataclasses.asdict(comparison), "coordinates": coordinates}


def _positions(run, z):
    """Latents (n, Z) placed so that distances are those between volumes, where the run's decoder can say so."""
    from ..analysis.metric import LatentMetric
    from ..decoders.restore import load_decoder

    if not z.shape[1]:
        raise DataError(f"{run.path} has one map and no latent space to compare.")
    return LatentMetric(load_decoder(run), z).positions


def _with_truth(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    from ..analysis.against_truth import per_conformation, per_image
    from ..analysis.truth import Truth
    from ..decoders.restore import load_decoder
    from ..run import Run

    run = Run.open(args.runs[0])
    latents, decoder = run.latents(), load_decoder(run)
    truth = Truth.open(Path(args.truth)).at_box(decoder.box)
    agreements = {
        "per image": per_image(decoder, latents.z, latents.rows, truth, args.images, args.seed),
        "per conformation": per_conformation(decoder, latents.z, latents.rows, truth, args.states),
    }
    return {
        name: {
            **agreement.figures(decoder.pixel_size_ang),
            "states": agreement.states.tolist(),
            "rows": latents.rows[agreement.particles].tolist(),
            "fsc": agreement.box.round(4).tolist(),
            "moving_fsc": agreement.moving.round(4).tolist(),
        }
        for name, agreement in agreements.items()
    }
