"""Draw the README's picture of a moving molecule found without poses: found maps, the true ones, the coordinate.

    cryodrgn-plugin abinitio SETS/linear1d/particles.star --out RUN --poses.shift_extent 0.08
    python benchmarks/ab_initio_picture.py RUN SETS/linear1d docs/images/moving.png

SETS is what make_ab_initio_sets.py has made. Found maps are turned and moved as one, by what brings the found poses
onto the true ones: what differs from map to map is left as it is.
"""

import sys
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryodrgn_plugin.engine.analysis.known_poses import in_common, read_poses
from cryodrgn_plugin.engine.analysis.truth import Truth, rank_correlation
from cryodrgn_plugin.engine.decoders.restore import load_decoder
from cryodrgn_plugin.engine.geometry.hand import mirrored_map
from cryodrgn_plugin.engine.geometry.pose_errors import PoseErrors, align_poses
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.slicing.fine import moved_volume, padded_transform
from cryodrgn_plugin.viewers.isosurface import finer, make_renderer, suggested_level
from cryodrgn_plugin.viewers.palette import INK, MUTED, PAPER, tidy

MAPS = 5
NEAREST = 25
"""Images near a place along the curve; the map drawn is that of the one in their middle."""
VIEW_DEG = (270.0, 5.0)
FRAME_PX = (290, 430)


def main(run_folder: str, set_folder: str, picture: str) -> None:
    run, folder = Run.open(Path(run_folder)), Path(set_folder)
    truth, latents = Truth.open(folder), run.latents()
    planted = truth.coordinate[latents.rows]
    found, true = in_common(read_poses(run.poses_file), read_poses(folder / "truth.npz"))
    errors, decoder = align_poses(found.rotations, true.rotations, found.shifts_ang, true.shifts_ang), load_decoder(run)
    wanted = np.quantile(latents.coordinate, np.linspace(0.02, 0.98, MAPS))
    chosen = np.array([typical(latents.coordinate, planted, each) for each in wanted])
    maps = [in_true_frame(decoder.volume(latents.z[each]), errors, decoder.pixel_size_ang) for each in chosen]
    true_maps = truth.at_box(decoder.box).maps[truth.state[latents.rows[chosen]]]

    figure = Figure(figsize=(13, 5.6), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    low, high = latents.coordinate.min(), latents.coordinate.max()
    colours = colormaps["viridis"](0.08 + 0.84 * (latents.coordinate - low) / (high - low))
    renderer = make_renderer()
    draw_row(
        figure,
        renderer,
        0.5,
        maps,
        [colours[each][:3] for each in chosen],
        [f"{planted[each]:.0f}°" for each in chosen],
    )
    draw_row(figure, renderer, 0.0, list(true_maps), [(0.62, 0.66, 0.7)] * MAPS, [""] * MAPS)
    figure.text(0.012, 0.73, "found", rotation=90, color=INK, fontsize=11, va="center")
    figure.text(0.012, 0.24, "true", rotation=90, color=INK, fontsize=11, va="center")
    axes = tidy(figure.add_axes((0.71, 0.14, 0.28, 0.7)), "planted: angle of the arm (°)", "found: along the curve")
    axes.scatter(planted, latents.coordinate, c=colours, s=5, alpha=0.6, linewidths=0, rasterized=True)
    agreement = abs(rank_correlation(planted, latents.coordinate))
    axes.set_title(f"{len(planted):,} images, |Spearman| = {agreement:.2f}", loc="left", color=INK, fontsize=11)
    figure.savefig(picture)


def typical(coordinate: np.ndarray, planted: np.ndarray, wanted: float) -> int:
    """Of the images nearest to a coordinate, the one in the middle of what was planted."""
    near = np.argsort(np.abs(coordinate - wanted), kind="stable")[:NEAREST]
    return int(near[np.argsort(planted[near], kind="stable")[NEAREST // 2]])


def in_true_frame(volume: np.ndarray, errors: PoseErrors, pixel_size_ang: float) -> np.ndarray:
    """(D, D, D) a found map as it lies when the found poses lie on the true ones."""
    hand = mirrored_map(volume) if errors.mirrored else volume
    return moved_volume(padded_transform(hand), errors.rotation.T, errors.origin_ang / pixel_size_ang, len(volume))


def draw_row(figure: Figure, renderer, bottom: float, maps: list[np.ndarray], colours: list, labels: list[str]) -> None:
    """Surfaces of maps side by side, from one side and at one scale."""
    volumes = [finer(volume) for volume in maps]
    for _ in range(2):  # The first round settles the size that fits all of them.
        frames = []
        for volume, colour in zip(volumes, colours, strict=True):
            renderer.show(volume, suggested_level(volume), tuple(colour))
            frames.append(renderer.frame(*VIEW_DEG, FRAME_PX))
    for place, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        axes = figure.add_axes((0.03 + 0.63 * place / MAPS, bottom, 0.63 / MAPS, 0.45))
        axes.imshow(frame)
        axes.set_axis_off()
        axes.set_title(label, color=MUTED, fontsize=10)


if __name__ == "__main__":
    main(*sys.argv[1:])
