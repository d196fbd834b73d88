"""What a subtraction leaves in the images and what it takes off them, seen from three sides."""

from pathlib import Path

import numpy as np

from ..analysis.figure_style import figure, without_ticks

DIRECTIONS = ("along z", "along y", "along x")


def draw_views(file: Path, mean: np.ndarray, mask: np.ndarray) -> None:
    """Draw projections of the mean map (D, D, D) inside and outside of the mask (D, D, D), in one scale of grey."""
    sides = {"what stays": mean * mask, "what is taken off": mean * (1 - mask)}
    highest = max(mean.sum(axis=axis).max() for axis in range(3))
    with figure(file, 6.6, 4.7) as page:
        axes = page.subplots(2, 3)
        for row, (name, volume) in zip(axes, sides.items(), strict=True):
            for axis, (ax, direction) in enumerate(zip(row, DIRECTIONS, strict=True)):
                ax.imshow(volume.sum(axis=axis), cmap="gray", origin="lower", vmin=0, vmax=highest)
                ax.set_title(f"{name}, {direction}", fontweight="normal", fontsize=9)
                without_ticks(ax)
