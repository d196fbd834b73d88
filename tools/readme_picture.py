"""Draw the README's picture from a finished demo: maps along the curve that was found, and the curve against the truth.

python tools/readme_picture.py demo docs/images/demo.png
"""

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cryodrgn_plugin.constants import ID_COLUMN
from cryodrgn_plugin.demo import rank_correlation
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.viewers.isosurface import finer, make_renderer
from cryodrgn_plugin.viewers.palette import INK, MUTED, PAPER, tidy

MAPS = 5
VIEW_DEG = (150.0, 5.0)
"""Azimuth and elevation from which the motion is seen well."""
FRAME_PX = (460, 520)


def main(demo: str, picture: str) -> None:
    runs = Path(demo) / "ScipionUserData" / "projects" / "demo" / "Runs"
    analysis = next(runs.glob("*_ProtHetAnalyze/extra/run/analysis"))
    planted, found, components, share = _particles(next(runs.glob("*_ProtHetSimulate/extra")), analysis)
    maps = _maps_along_the_curve(analysis)
    scale = _colour_scale(found)

    figure = Figure(figsize=(12, 6.9), dpi=110, facecolor=PAPER)
    FigureCanvasAgg(figure)
    _draw_surfaces(figure, analysis, maps, scale)
    axes = tidy(figure.add_axes((0.06, 0.09, 0.42, 0.38)), f"PC1 ({share[0]:.0%})", f"PC2 ({share[1]:.0%})")
    axes.scatter(*components[:, :2].T, c=scale(found), s=4, alpha=0.6, linewidths=0, rasterized=True)
    axes.set_title(f"{len(found):,} particles in the latent space", loc="left", color=INK, fontsize=11)
    for item in maps:
        nearest = np.argmin(np.abs(found - item["position"]))
        axes.plot(*components[nearest, :2], "o", ms=9, mfc="none", mec=INK, mew=1.4)
    axes = tidy(figure.add_axes((0.56, 0.09, 0.42, 0.38)), "planted: from open to closed", "found: along the curve")
    axes.scatter(planted, found, c=scale(found), s=4, alpha=0.6, linewidths=0, rasterized=True)
    agreement = abs(rank_correlation(planted, found))
    axes.set_title(f"found against planted, |Spearman| = {agreement:.3f}", loc="left", color=INK, fontsize=11)

    Path(picture).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture)


def _particles(simulated: Path, analysis: Path):
    """Planted and found position (N,), principal components (N, Z) and their shares of variance."""
    particles = read_star(analysis / "particles.star")["particles"]
    # Simulated particles are numbered from 1 in the order of the truth table.
    with np.load(simulated / "truth.npz") as truth:
        planted = truth["coordinate"][particles[ID_COLUMN].to_numpy(int) - 1]
    with np.load(analysis / "embedding.npz") as embedding:
        found, components = embedding["coordinate"], embedding["pca"]
    share = json.loads((analysis / "analysis.json").read_text())["pca"]["explained"]
    return planted, found, components, share


def _maps_along_the_curve(analysis: Path) -> list[dict]:
    series = json.loads((analysis / "analysis.json").read_text())["series"]
    maps = next(item["maps"] for item in series if item["name"] == "curve")
    return [maps[k] for k in np.linspace(0, len(maps) - 1, MAPS).round().astype(int)]


def _colour_scale(found: np.ndarray):
    low, high = found.min(), found.max()
    return lambda position: colormaps["viridis"](0.08 + 0.84 * (np.asarray(position) - low) / (high - low))


def _draw_surfaces(figure: Figure, analysis: Path, maps: list[dict], scale) -> None:
    renderer = make_renderer()
    volumes = [finer(read_map(analysis / item["file"])[0]) for item in maps]
    for _ in range(2):  # The first round settles the size that fits all of them.
        frames = []
        for item, volume in zip(maps, volumes, strict=True):
            renderer.show(volume, 1.3 * item["level"], tuple(scale(item["position"])[:3]))
            frames.append(renderer.frame(*VIEW_DEG, FRAME_PX))
    for place, (item, frame) in enumerate(zip(maps, frames, strict=True)):
        axes = figure.add_axes((place / MAPS, 0.54, 1 / MAPS, 0.42))
        axes.imshow(frame)
        axes.set_axis_off()
        axes.set_title(item["label"], color=MUTED, fontsize=10)


if __name__ == "__main__":
    main(*sys.argv[1:])
