"""`align`: how far two sets of poses, or two maps, are apart when frame, origin and hand are fitted first."""

import argparse
import json
from typing import Any

from ..errors import ConfigError, DataError
from ..io.writing import write_text

DESCRIPTION = """\
Compare poses with known ones, or a map with another. Images say nothing of a map's frame, origin and hand, so these are
fitted first, for all particles together; a minority of wrong poses does not spoil the fit. Errors are what is left.

examples
  cryodrgn-plugin align run/poses.star refined.star
  cryodrgn-plugin align run/poses.star sim/truth.npz --map run/volumes/ab_initio/map_001.mrc sim/maps/state_000.mrc
  cryodrgn-plugin align --map found.mrc true.mrc --save aligned.mrc
  cryodrgn-plugin align mixture/poses.star sim/truth.npz --per-class --out errors.json

Particles are matched by rlnImageName, with truth.npz of a simulated set by row.
"""

ROWS = {
    "particles": ("particles", "{:,}"),
    "other_hand": ("the other hand", "{}"),
    "median_angle_deg": ("rotation error, median", "{:.2f}°"),
    "mean_angle_deg": ("rotation error, mean", "{:.2f}°"),
    "within_5_deg": ("within 5°", "{:.1%}"),
    "within_10_deg": ("within 10°", "{:.1%}"),
    "frobenius2_median": ("squared Frobenius norm, median", "{:.5f}"),
    "frobenius2_mean": ("squared Frobenius norm, mean", "{:.5f}"),
    "median_shift_px": ("shift error, median", "{:.2f} px"),
    "median_shift_ang": ("", "{:.2f} Å"),
    "resolution_ang_at_0.5": ("FSC 0.5 at", "{:.2f} Å"),
    "resolution_px_at_0.5": ("", "{:.2f} px"),
    "correlation": ("correlation of the coefficients", "{:.3f}"),
    "angle_to_poses_deg": ("frames of maps and poses differ by", "{:.2f}°"),
}
"""Figures in the order of the table: what to call them, and how to write them."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.usage = "%(prog)s [FOUND.star TRUE.star] [--map FOUND.mrc TRUE.mrc] [--OPTION VALUE …]"
    parser.add_argument("poses", nargs="*", metavar="FOUND.star TRUE.star", help="found poses, and known ones")
    parser.add_argument("--map", nargs=2, metavar=("FOUND.mrc", "TRUE.mrc"), help="a map, and the one to bring it onto")
    parser.add_argument("--per-class", action="store_true", help="each rlnClassNumber of FOUND has a frame of its own")
    parser.add_argument("--one-hand", action="store_true", help="do not try the mirror image")
    parser.add_argument("--out", metavar="FILE.json", help="write the figures, the fits and the FSC curve here")
    parser.add_argument("--save", metavar="FILE.mrc", help="write FOUND.mrc here, brought onto TRUE.mrc")


def run(args: argparse.Namespace) -> int:
    if len(args.poses) not in (0, 2) or not (args.poses or args.map):
        raise ConfigError("Give two files of poses, FOUND and TRUE, or two maps with --map, or both.")
    if args.save and not args.map:
        raise ConfigError("--save writes an aligned map; name the two maps with --map.")
    report: dict[str, Any] = {}
    if args.poses:
        report["poses"] = _compare_poses(args)
    if args.map:
        report["map"] = _compare_maps(args, report)
    for name, figures in _sections(report):
        _print(name, figures)
    if args.out:
        write_text(args.out, json.dumps(report, indent=1) + "\n")
    return 0


def _compare_poses(args: argparse.Namespace) -> list[dict]:
    """Figures and fits, one entry for all or one per class of the found poses."""
    import numpy as np

    from ..analysis.known_poses import in_common, read_poses
    from ..geometry.pose_errors import align_poses

    found, true = in_common(*(read_poses(path) for path in args.poses))
    every = np.arange(len(found))
    groups = {f"class {k}": np.flatnonzero(found.species == k) for k in np.unique(found.species)}
    entries = []
    for name, rows in groups.items() if args.per_class else [("poses", every)]:
        errors = align_poses(
            found.rotations[rows],
            true.rotations[rows],
            found.shifts_ang[rows],
            true.shifts_ang[rows],
            either_hand=not args.one_hand,
        )
        fit = {"rotation": errors.rotation.tolist(), "origin_ang": errors.origin_ang.tolist()}
        entries.append({"name": name, **errors.summary(found.pixel_size_ang), **fit})
    return entries


def _compare_maps(args: argparse.Namespace, report: dict) -> dict:
    from ..io.mrc import write_map
    from ..reconstruction.fsc import resolution
    from ..reconstruction.map_alignment import align_maps

    found, true, pixel_size_ang = two_maps(*args.map)
    alignment = align_maps(found, true, either_hand=not args.one_hand)
    if args.save:
        write_map(args.save, alignment.volume, pixel_size_ang)
    resolution_ang = resolution(alignment.curve, pixel_size_ang, len(true), 0.5)
    figures = {
        "other_hand": alignment.mirrored,
        "resolution_ang_at_0.5": resolution_ang,
        "resolution_px_at_0.5": resolution_ang / pixel_size_ang,
        "correlation": alignment.correlation,
        "fsc": alignment.curve.tolist(),
        "rotation": alignment.rotation.tolist(),
        "origin_ang": (alignment.origin_px * pixel_size_ang).tolist(),
    }
    return figures | _against_poses(alignment.rotation, alignment.mirrored, report.get("poses", []))


def _against_poses(rotation, mirrored: bool, poses: list[dict]) -> dict:
    """The angle between the frame of the maps and that of the poses, where there is one of each and of one hand."""
    import numpy as np

    from ..geometry.rotations import angular_distance_deg

    if len(poses) != 1 or poses[0]["other_hand"] != mirrored:
        return {}
    return {"angle_to_poses_deg": float(angular_distance_deg(rotation, np.array(poses[0]["rotation"])))}


def two_maps(found_path: str, true_path: str):
    """Two maps of one box, the larger one Fourier-cropped where both show the same part of space; and the pixel size.

    Raises DataError when they are of different extent.
    """
    from ..io.mrc import read_map
    from ..simulate.map_motions import cropped_map

    (found, found_pixel), (true, true_pixel) = read_map(found_path), read_map(true_path)
    extents_ang = len(found) * found_pixel, len(true) * true_pixel
    if abs(extents_ang[0] / extents_ang[1] - 1) > 0.01:
        raise DataError(
            f"{found_path} is {extents_ang[0]:.1f} Å wide and {true_path} {extents_ang[1]:.1f} Å; give maps of the "
            "same extent."
        )
    box = min(len(found), len(true))
    found, true = cropped_map(found, box, found_path), cropped_map(true, box, true_path)
    return found, true, max(found_pixel, true_pixel)


def _sections(report: dict) -> list[tuple[str, dict]]:
    sections = [(entry["name"], entry) for entry in report.get("poses", [])]
    return sections + ([("maps", report["map"])] if "map" in report else [])


def _print(name: str, figures: dict) -> None:
    print(name)
    for key, (title, form) in ROWS.items():
        if key in figures:
            value = figures[key]
            print(f"  {title:36} {('no', 'yes')[value] if isinstance(value, bool) else form.format(value)}")
