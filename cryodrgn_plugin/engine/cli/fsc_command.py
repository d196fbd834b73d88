"""`fsc`: how far two maps agree, shell by shell."""

import argparse
import json

from ..errors import ConfigError
from ..io.writing import write_text

DESCRIPTION = """\
Fourier shell correlation of two maps, of any origin: two half-maps, a map and its truth, the maps of two programs.
Where they show the same part of space on different grids the finer one is Fourier-cropped; with --align the first is
brought onto the second by rotation, shift and hand before.

examples
  cryodrgn-plugin fsc run/states/state_001_half1.mrc run/states/state_001_half2.mrc --half-maps --mask auto
  cryodrgn-plugin fsc run/states/state_001.mrc sim/maps/state_000.mrc --mask run/states/state_001_mask.mrc
  cryodrgn-plugin fsc mine.mrc theirs.mrc --align --out curve.json --figure curve.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("maps", nargs=2, metavar="MAP.mrc", help="the two maps")
    parser.add_argument("--mask", default="", metavar="FILE.mrc", help="soft mask, or auto for one around their mean")
    parser.add_argument("--align", action="store_true", help="fit rotation, shift and hand of the first map first")
    parser.add_argument("--one-hand", action="store_true", help="with --align: do not try the mirror image")
    parser.add_argument(
        "--half-maps",
        action="store_true",
        help="they are half-maps: take off what the mask correlates, by phase randomisation, and state FSC 0.143",
    )
    parser.add_argument("--out", metavar="FILE.json", help="write the curve and the figures here")
    parser.add_argument("--figure", metavar="FILE.png", help="draw the curve here")


def run(args: argparse.Namespace) -> int:
    from ..reconstruction.directional_fsc import directional_fsc
    from ..reconstruction.fsc import fsc_area, resolution
    from .align_command import two_maps

    if args.half_maps and not args.mask:
        raise ConfigError("--half-maps takes off what a mask correlates; give one with --mask, or --mask auto.")
    if args.one_hand and not args.align:
        raise ConfigError("--one-hand is part of aligning; give --align too, or leave it out.")
    a, b, pixel_size_ang = two_maps(*args.maps)
    if args.align:
        from ..reconstruction.map_alignment import align_maps

        a = align_maps(a, b, either_hand=not args.one_hand).volume
    mask = _mask(args.mask, a, b, pixel_size_ang)
    curve = _curve(a, b, mask, args.half_maps)
    limits = {str(at): resolution(curve, pixel_size_ang, len(a), at) for at in (0.5, 0.143)}
    directions = directional_fsc(a, b, pixel_size_ang, mask, threshold=0.143 if args.half_maps else 0.5)
    figures = {"area": fsc_area(curve, len(a) // 2 - 1), "resolution_ang": limits, "directions": directions.entry()}
    _print(curve, figures, len(a), pixel_size_ang)
    print(f"\nFSC {directions.threshold} by direction: {directions.sentence}")
    if directions.warning:
        print(directions.warning)
    if args.out:
        about = {"maps": args.maps, "box": len(a), "pixel_size_ang": pixel_size_ang, "mask": args.mask}
        write_text(args.out, json.dumps({**about, **figures, "fsc": curve.tolist()}, indent=1) + "\n")
    if args.figure:
        _draw(args.figure, curve, directions)
    return 0


def _mask(name: str, a, b, pixel_size_ang: float):
    """The mask that `name` stands for, or None."""
    from ..reconstruction.mask_file import mask_from_file
    from ..reconstruction.masks import mask_from_map

    if name == "auto":
        return mask_from_map((a / a.std() + b / b.std()) / 2, pixel_size_ang)
    return mask_from_file(name, len(a)) if name else None


def _curve(a, b, mask, half_maps: bool):
    from ..reconstruction.fsc import fsc, fsc_corrected

    return fsc_corrected(a, b, mask).corrected if half_maps else fsc(a, b, mask)


def _print(curve, figures: dict, box: int, pixel_size_ang: float) -> None:
    print(f"box {box}, {pixel_size_ang:.4g} Å per pixel")
    for threshold, limit in figures["resolution_ang"].items():
        print(f"FSC {threshold:5} at {limit:.2f} Å")
    print(f"area under the curve {figures['area']:.3f}")
    print("\n  shell  resolution   FSC")
    for shell in range(1, len(curve) - 1):
        print(f"  {shell:5d}  {box * pixel_size_ang / shell:8.2f} Å  {curve[shell]:6.3f}")


def _draw(file: str, curve, directions) -> None:
    from pathlib import Path

    from ..analysis.direction_plots import draw_curves, draw_sphere
    from ..analysis.figure_style import DISTINCT, figure

    with figure(Path(file), 8.4, 3.6) as page:
        left, right = page.subplots(1, 2, width_ratios=[1.35, 1])
        draw_curves(left, directions, whole=(curve, DISTINCT[0]))
        draw_sphere(right, directions)
