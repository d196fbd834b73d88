"""logfile.pdf, which RELION opens from its Display menu: what was done, what came out, and the run's figures."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.image
import numpy as np
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from ..engine.analysis.figure_style import DPI
from ..engine.files import replacing

_WIDTH, _HEIGHT, _MARGIN = 11.69, 8.27, 0.6
"""A4 on its side, in inches: figures of a series of maps are wide."""
_LINE, _GAP, _TITLE = 0.2, 0.3, 0.32
_LEADING = 1.6
"""From one baseline to the next, in sizes of the letters."""
_TOP = _HEIGHT - _MARGIN
_TITLE_LETTERS = 105
"""Letters of a title that fit a line."""
_SMALLEST = 0.65
"""Pictures are made smaller, down to this, where more of them then share a page."""
_COLUMNS = (0.0, 0.7, 2.0, 3.4, 5.0, 6.8)
"""Left edges of the table's columns, in inches from the margin."""
_STYLE = {
    "font.family": "sans-serif", "font.sans-serif": ["DejaVu Sans"], "text.color": "#222222", "pdf.fonttype": 42,
    "text.parse_math": False,
}  # fmt: skip


def write_logfile(
    path: Path,
    heading: str,
    facts: Sequence[tuple[str, str]],
    table: Sequence[Sequence[str]],
    figures: Sequence[tuple[str, Path]],
) -> None:
    """Facts and a table of the classes first, then the figures, as many to a page as stay readable.

    Parameters
    ----------
    facts : (name, value) pairs.
    table : rows of cells, the first row being the column names.
    figures : (title, PNG file) pairs; the title is empty where the figure has its own.
    """
    with matplotlib.rc_context(_STYLE):
        pages = _Pages()
        pages.write(heading, size=16, weight="bold", height=0.5)
        for name, value in facts:
            lines = textwrap.wrap(value, 110) or [""]
            pages.write(name, "\n".join(lines), columns=(0, 1.4), height=_LINE * len(lines) + 0.05)
        pages.skip(_GAP)
        for number, row in enumerate(table):
            pages.write(*row, columns=_COLUMNS[: len(row)], weight="normal" if number else "bold")
        pages.skip(_GAP)
        pages.draw([_Picture.of(title, file) for title, file in figures])
        with replacing(path) as temporary, PdfPages(temporary) as pdf:
            for page in pages.all:
                pdf.savefig(page)


@dataclass(frozen=True)
class _Picture:
    """A figure as it goes on a page. Lengths are in inches: what it was made for, or less where the page has less."""

    title: str
    pixels: np.ndarray
    width: float
    height: float

    @classmethod
    def of(cls, title: str, file: Path) -> "_Picture":
        """The picture in a PNG file."""
        pixels = matplotlib.image.imread(file)
        width = min(pixels.shape[1] / DPI, _WIDTH - 2 * _MARGIN)
        return cls(title, pixels, width, width * pixels.shape[0] / pixels.shape[1])

    @property
    def title_height(self) -> float:
        return _TITLE * len(textwrap.wrap(self.title, _TITLE_LETTERS))


class _Pages:
    """Pages filled from top to bottom; a new one begins where something does not fit. Lengths are in inches."""

    def __init__(self) -> None:
        self.all: list[Figure] = []
        self._turn()

    def write(
        self,
        *cells: str,
        columns: Sequence[float] = (0,),
        size: float = 9,
        weight: str = "normal",
        height: float = _LINE,
    ) -> None:
        """A line of text; each cell begins at its column."""
        self._make_room(height)
        # Line by line, on one baseline for all cells, whichever letters they have.
        for x, cell in zip(columns, cells, strict=True):
            for number, line in enumerate(cell.split("\n")):
                baseline = self._top - (1 + _LEADING * number) * size / 72
                corner = ((_MARGIN + x) / _WIDTH, baseline / _HEIGHT)
                self.all[-1].text(*corner, line, fontsize=size, fontweight=weight, va="baseline")
        self.skip(height)

    def draw(self, pictures: Sequence[_Picture]) -> None:
        """Pictures in their order, one below the other: as many to a page as fit it, smaller if need be."""
        waiting = list(pictures)
        while waiting:
            count, scale = self._that_fit(waiting)
            for picture in waiting[:count]:
                self._place(picture, scale)
            del waiting[:count]
            if waiting:
                self._turn()

    def _that_fit(self, pictures: Sequence[_Picture]) -> tuple[int, float]:
        """How many of the pictures go below what is on the page, and how much smaller; a fresh page takes any one."""
        room = self._top - _MARGIN + _GAP
        best = (1, min(1.0, self._scale(pictures[:1], room))) if self._top == _TOP else (0, 1.0)
        for count in range(1, len(pictures) + 1):
            scale = self._scale(pictures[:count], room)
            if scale >= _SMALLEST:
                best = (count, min(1.0, scale))
        return best

    @staticmethod
    def _scale(pictures: Sequence[_Picture], room: float) -> float:
        """The scale at which the pictures, each with its title and a gap, fill a height."""
        fixed = sum(picture.title_height + _GAP for picture in pictures)
        return (room - fixed) / sum(picture.height for picture in pictures)

    def _place(self, picture: _Picture, scale: float) -> None:
        if picture.title:
            lines = textwrap.wrap(picture.title, _TITLE_LETTERS)
            self.write("\n".join(lines), size=12, weight="bold", height=picture.title_height)
        width, height = picture.width * scale, picture.height * scale
        corner = (_MARGIN / _WIDTH, (self._top - height) / _HEIGHT)
        axes = self.all[-1].add_axes((*corner, width / _WIDTH, height / _HEIGHT))
        axes.imshow(picture.pixels, aspect="auto", interpolation="lanczos")
        axes.axis("off")
        self.skip(height + _GAP)

    def skip(self, height: float) -> None:
        self._top -= height

    def _make_room(self, height: float) -> None:
        if self._top - height < _MARGIN - 1e-6:
            self._turn()

    def _turn(self) -> None:
        """Begin a new page."""
        self.all.append(Figure(figsize=(_WIDTH, _HEIGHT)))
        self._top = _TOP
