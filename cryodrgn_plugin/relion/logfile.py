"""logfile.pdf, which RELION opens from its Display menu: what was done, what came out, and the run's figures."""

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.image
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from ..engine.analysis.figure_style import DPI
from ..engine.files import replacing

_WIDTH, _HEIGHT, _MARGIN = 11.69, 8.27, 0.6
"""A4 on its side, in inches: figures of a series of maps are wide."""
_LINE, _GAP, _TITLE = 0.2, 0.3, 0.32
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
    """Facts and a table of the classes first, then the figures, as many as fit a page.

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
        for title, file in figures:
            pages.draw(title, file)
        with replacing(path) as temporary, PdfPages(temporary) as pdf:
            for page in pages.all:
                pdf.savefig(page)


class _Pages:
    """Pages filled from top to bottom; a new one begins where something does not fit. Lengths are in inches."""

    def __init__(self) -> None:
        self.all = [Figure(figsize=(_WIDTH, _HEIGHT))]
        self._top = _HEIGHT - _MARGIN

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
        for x, cell in zip(columns, cells, strict=True):
            corner = ((_MARGIN + x) / _WIDTH, self._top / _HEIGHT)
            self.all[-1].text(*corner, cell, fontsize=size, fontweight=weight, va="top", linespacing=1.4)
        self.skip(height)

    def draw(self, title: str, file: Path) -> None:
        """A picture under its title, in the size it was made for, or smaller where the page is."""
        picture = matplotlib.image.imread(file)
        title_height = _TITLE if title else 0.0
        natural = picture.shape[1] / DPI, picture.shape[0] / DPI
        room = _WIDTH - 2 * _MARGIN, _HEIGHT - 2 * _MARGIN - title_height
        scale = min(1.0, room[0] / natural[0], room[1] / natural[1])
        width, height = natural[0] * scale, natural[1] * scale
        self._make_room(title_height + height)
        if title:
            self.write(title, size=12, weight="bold", height=_TITLE)
        corner = (_MARGIN / _WIDTH, (self._top - height) / _HEIGHT)
        axes = self.all[-1].add_axes((*corner, width / _WIDTH, height / _HEIGHT))
        axes.imshow(picture, aspect="auto", interpolation="lanczos")
        axes.axis("off")
        self.skip(height + _GAP)

    def skip(self, height: float) -> None:
        self._top -= height

    def _make_room(self, height: float) -> None:
        if self._top - height < _MARGIN - 1e-6:
            self.all.append(Figure(figsize=(_WIDTH, _HEIGHT)))
            self._top = _HEIGHT - _MARGIN
