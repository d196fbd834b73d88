"""The picture of docs/simulation.md: the spectrum of the noise, where particles are seen from, and what images show.

python benchmarks/simulated_picture.py docs/images/simulated.png
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np

from cryodrgn_plugin.engine.analysis.figure_style import figure
from cryodrgn_plugin.engine.io.mrc import StackReader
from cryodrgn_plugin.engine.simulate import SimulationConfig, simulate_particles
from cryodrgn_plugin.engine.simulate.noise_colour import ice_power
from cryodrgn_plugin.engine.simulate.presets import PRESETS
from cryodrgn_plugin.engine.simulate.surroundings import KINDS
from cryodrgn_plugin.engine.simulate.views import drawn_views

VIEWS = ("side", "top", "preferred")
BOX, IMAGES = 96, 300
SHOWN_SNR = 0.3
"""High enough for the eye."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    with figure(out, 11, 4.35) as page:
        above, below = page.subfigures(2, 1, height_ratios=(1.25, 1))
        panels = above.subplots(1, 1 + len(VIEWS), width_ratios=(1.5, 1, 1, 1))
        draw_spectrum(panels[0])
        for panel, views in zip(panels[1:], VIEWS, strict=True):
            draw_views(panel, views)
        draw_images(below.subplots(1, 7))


def draw_spectrum(panel) -> None:
    frequency = np.linspace(0, 0.4, 400)
    panel.plot(frequency, ice_power(frequency), label="ice")
    panel.axhline(1, linestyle="--", linewidth=1, color="0.5", label="white")
    panel.set(yscale="log", xlabel="spatial frequency (1/Å)", ylabel="power of the noise", xlim=(0, 0.4))
    panel.set_yticks([1, 2, 5, 10], ["1", "2", "5", "10"])
    panel.minorticks_off()
    panel.legend(frameon=False)


def draw_views(panel, views: str) -> None:
    """The directions of 3,000 views on a map of equal areas: azimuth across, height along the axis up."""
    config = SimulationConfig(views=views, views_concentration=10.0)
    seen = drawn_views(config, 3000, np.random.default_rng(3))[:, 2]
    azimuth_deg = np.degrees(np.arctan2(seen[:, 1], seen[:, 0]))
    panel.plot(azimuth_deg, seen[:, 2], ".", markersize=1.5, alpha=0.5)
    panel.set(
        xlim=(-180, 180), ylim=(-1, 1), title=views, xticks=[-180, 0, 180], yticks=[-1, 0, 1], xlabel="azimuth (°)"
    )
    panel.set_ylabel("height (z)" if views == VIEWS[0] else "")


def draw_images(panels) -> None:
    preset = PRESETS["real_spike"]
    config = preset.config(BOX, n_particles=IMAGES, snr=SHOWN_SNR, junk_share=0.5, neighbours_share=0.3)
    steep = preset.config(BOX, n_particles=IMAGES, snr=SHOWN_SNR, gradient_sd=0.8)
    with tempfile.TemporaryDirectory() as folder:
        star = simulate_particles(preset.make(5), config, Path(folder) / "junk", seed=1)
        ramped = simulate_particles(preset.make(5), steep, Path(folder) / "ramps", seed=1)
        truth = dict(np.load(star.with_name("truth.npz")))
        alone = truth["neighbour"] < 0
        rows = [np.flatnonzero((truth["kind"] == kind) & alone)[3] for kind in range(len(KINDS))]
        rows.append(np.flatnonzero((truth["kind"] == 0) & ~alone)[1])
        steepest = np.argmax(np.hypot(*np.load(ramped.with_name("truth.npz"))["gradient"].T))
        images = [image_of(star, row) for row in rows] + [image_of(ramped, int(steepest))]
    for panel, image, title in zip(panels, images, (*KINDS, "with a neighbour", "with a gradient"), strict=True):
        panel.imshow(image, cmap="gray", vmin=-3, vmax=4)
        panel.set_title(title, fontsize=9)
        panel.set_axis_off()


def image_of(star: Path, row: int) -> np.ndarray:
    return StackReader([f"{row + 1}@{star.with_name('particles.mrcs')}"]).read(np.arange(1))[0]


if __name__ == "__main__":
    main()
