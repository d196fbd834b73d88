"""From a value per particle to colours and what explains them: classes, a colour scale, or how many there are."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from . import palette
from .colouring import Colouring
from .particle_density import ClassShade, CountShade, MeanShade, Shade
from .plane_view import brief

COUNT = "number of particles"
"""The colouring that needs no value."""
MOST_CLASSES = 40
"""Whole numbers or texts with more different values are drawn along a colour scale."""
COUNT_SCALE = ("YlGnBu", 0.35, 1.0)


@dataclass(frozen=True)
class Legend:
    """What stands beside the picture."""

    title: str
    classes: tuple[tuple[str, str], ...] = ()
    """Label and colour of each class; none where there is a scale."""
    scale: np.ndarray | None = None
    """(L, 3) from low to high."""
    low: str = ""
    high: str = ""
    """What its ends mean."""


def shading_of(colouring: Colouring | None) -> tuple[Shade, Legend]:
    """The shade and the legend of a colouring; None is `COUNT`."""
    if colouring is None:
        scale = palette.colour_scale(*COUNT_SCALE)
        return CountShade(scale), Legend(COUNT, scale=scale, low="1 per pixel", high="most")
    if colouring.categorical:
        return _by_class(colouring)
    values = np.asarray(colouring.values, float)
    finite = values[np.isfinite(values)]
    low, high = _ends(finite) if len(finite) else (0.0, 1.0)
    scale = palette.colour_scale()
    names = colouring.words or (brief(low), brief(high))
    return MeanShade(values, low, high, scale), Legend(colouring.name, scale=scale, low=names[0], high=names[-1])


def _ends(finite: np.ndarray) -> tuple[float, float]:
    """Where a colour scale begins and ends: a hundredth of the particles may lie beyond either end."""
    few = finite[:: max(1, len(finite) // 100_000)]
    low, high = (float(end) for end in np.percentile(few, (1, 99)))
    return (low, high) if high > low else (float(finite.min()), float(finite.max()))


def _by_class(colouring: Colouring) -> tuple[Shade, Legend]:
    codes = np.asarray(colouring.values, int) - 1
    count = max(int(codes.max()) + 1, 1)
    colours = palette.category_colours(count)
    named = codes >= 0
    shade = ClassShade(np.maximum(codes, 0), palette.as_rgb(colours), None if named.all() else named)
    labels = colouring.words or tuple(str(number) for number in range(1, count + 1))
    return shade, Legend(colouring.name, tuple(zip(labels, colours, strict=False)))


def colouring_of_column(name: str, values: np.ndarray) -> Colouring:
    """Any column (N,) of numbers or texts as a colouring: few different whole numbers or texts are classes, texts of
    which there are many are drawn in their order."""
    values = np.asarray(values)
    if values.dtype == bool:
        return Colouring(name, values.astype(int) + 1, categorical=True, words=("no", "yes"))
    if values.dtype.kind in "fc":
        return Colouring(name, np.real(values))
    places, different = pd.factorize(values if values.dtype.kind in "iu" else values.astype(object), sort=True)
    words = tuple(str(value) for value in different)
    if len(different) <= MOST_CLASSES:
        return Colouring(name, places + 1, categorical=True, words=words)
    return Colouring(name, values) if values.dtype.kind in "iu" else Colouring(name, places, words=words)
