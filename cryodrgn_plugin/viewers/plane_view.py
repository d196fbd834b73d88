"""Which part of a plane a picture shows: pixels to coordinates and back, moved by a drag, enlarged about the mouse."""

from dataclasses import dataclass, replace

import numpy as np

MARGIN = 0.03
"""Of the extent of all points, left free on each side."""
CLOSEST = 1e-5
"""The smallest part of the plane's full extent that can be looked at; single precision tells no more apart."""


@dataclass(frozen=True)
class PlaneView:
    """A rectangle of the plane, x to the right and y up, on width × height pixels counted from the upper left."""

    x: tuple[float, float]
    """Coordinates at the left and the right edge."""
    y: tuple[float, float]
    """At the lower and the upper edge."""
    width: int
    height: int

    @classmethod
    def fitting(cls, points: np.ndarray, width: int, height: int) -> "PlaneView":
        """All finite `points` (N, 2), with a margin."""
        ranges = []
        for column in np.asarray(points).T:
            finite = column[np.isfinite(column)]
            low, high = (float(finite.min()), float(finite.max())) if len(finite) else (-0.5, 0.5)
            room = MARGIN * (high - low) or 0.5
            ranges.append((low - room, high + room))
        return cls(ranges[0], ranges[1], width, height)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels per unit along x and y."""
        return self.width / (self.x[1] - self.x[0]), self.height / (self.y[1] - self.y[0])

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """(…, 2) coordinates as pixels (right, down)."""
        points = np.asarray(points, float)
        across, up = self.scale
        return np.stack([(points[..., 0] - self.x[0]) * across, (self.y[1] - points[..., 1]) * up], axis=-1)

    def to_plane(self, pixels: np.ndarray) -> np.ndarray:
        """(…, 2) pixels (right, down) as coordinates."""
        pixels = np.asarray(pixels, float)
        across, up = self.scale
        return np.stack([self.x[0] + pixels[..., 0] / across, self.y[1] - pixels[..., 1] / up], axis=-1)

    def resized(self, width: int, height: int) -> "PlaneView":
        """The same part of the plane on another number of pixels."""
        return replace(self, width=width, height=height)

    def moved(self, right_px: float, down_px: float) -> "PlaneView":
        """With what is shown moved by so many pixels."""
        across, up = self.scale
        x, y = -right_px / across, down_px / up
        return replace(self, x=(self.x[0] + x, self.x[1] + x), y=(self.y[0] + y, self.y[1] + y))

    def enlarged(self, factor: float, at_px: tuple[float, float], whole: "PlaneView") -> "PlaneView":
        """`factor` times as large about a pixel that stays, showing between a little of the `whole` and twice that."""
        middle = self.to_plane(np.array(at_px))
        widest = max((self.x[1] - self.x[0]) / (whole.x[1] - whole.x[0]), 1e-12)
        factor = float(np.clip(factor, widest / 2, widest / CLOSEST))
        x, y = (
            tuple(float(centre + (edge - centre) / factor) for edge in edges)
            for centre, edges in zip(middle, (self.x, self.y), strict=True)
        )
        return replace(self, x=x, y=y)


def marks(low: float, high: float, most: int) -> list[float]:
    """At most `most` round numbers between `low` and `high`, spaced by 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (np.isfinite(span) and span > 0 and most > 0):
        return []
    power = 10.0 ** np.floor(np.log10(span / most))
    step = next(times * power for times in (1, 2, 5, 10, 20) if span / (times * power) <= most)
    first = np.ceil(low / step - 1e-9)
    return [float(step * k) for k in np.arange(first, np.floor(high / step + 1e-9) + 1)]


def spoken(number: float, step: float) -> str:
    """A mark as text, with as many decimals as the `step` between marks needs."""
    if abs(number) < step / 1e6:
        return "0"
    if max(abs(number), step) >= 1e5 or step < 1e-4:
        return f"{number:.3g}"
    return f"{number:.{max(0, -int(np.floor(np.log10(step) + 1e-9)))}f}"


def brief(number: float) -> str:
    """A number in four figures, without powers of ten where it can be read without."""
    if not np.isfinite(number):
        return "none"
    if number == 0 or 1e-3 <= abs(number) < 1e7:
        decimals = max(0, 3 - int(np.floor(np.log10(abs(number))))) if number else 0
        text = f"{number:,.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    return f"{number:.3g}"
