"""logfile.pdf: pages are filled with pictures that stay readable, and titles and sentences stay whole."""

import re
import subprocess

import matplotlib.image
import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.figure_style import DPI
from cryodrgn_plugin.relion.logfile import write_logfile

LONG = "A title that says what its picture shows in more words than any line has room for, and " * 2 + "ends here"


def picture(folder, name: str, width: float, height: float):
    """A grey PNG of a size in inches."""
    file = folder / f"{name}.png"
    matplotlib.image.imsave(file, np.full((round(height * DPI), round(width * DPI), 3), 0.5))
    return file


def pages(path) -> list[str]:
    """The text of each page."""
    text = subprocess.run(["pdftotext", "-layout", path, "-"], capture_output=True, text=True, check=True).stdout
    return text.split("\f")[:-1]


def placed(path) -> list[tuple[float, float]]:
    """Width and height in inches of each picture of the document, as it is drawn on its page."""
    listing = subprocess.run(["pdfimages", "-list", path], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listing.splitlines()[2:]]
    return [(int(row[3]) / float(row[12]), int(row[4]) / float(row[13])) for row in rows if row[2] == "image"]


@pytest.mark.parametrize(("height", "count"), [(2.0, 1), (4.4, 2), (5.5, 4), (7.0, 4)])
def test_pictures_share_pages_as_long_as_they_stay_readable(tmp_path, height, count):
    """A page has room for 7.1 inches, and 6.2 below a heading; down to 0.65 of its size a picture is made smaller."""
    figures = [("", picture(tmp_path, f"{number}", 9, height)) for number in range(3 if height < 5 else 4)]
    write_logfile(tmp_path / "log.pdf", "Job", [], [], figures)
    assert len(pages(tmp_path / "log.pdf")) == count
    sizes = placed(tmp_path / "log.pdf")
    assert len(sizes) == len(figures)
    assert all(0.64 * 9 < wide < 9.1 and wide / high == pytest.approx(9 / height, rel=0.03) for wide, high in sizes)


def test_long_titles_and_sentences_are_there_to_their_last_word(tmp_path):
    figures = [(LONG, picture(tmp_path, "one", 4, 2))]
    facts = [("Particles", "all"), ("Caution", LONG), ("Maps", "none")]
    write_logfile(tmp_path / "log.pdf", "Job", facts, [["class"], ["1"]], figures)
    (page,) = pages(tmp_path / "log.pdf")
    assert len(re.findall(r"ends\s+here", page)) == 2
    assert max(len(line.strip()) for line in page.splitlines()) < 150


def test_lines_stand_below_each_other(tmp_path):
    """The words of a line have one height, and no two lines come nearer than a line is high."""
    facts = [("Particles", "all"), ("Caution", LONG), ("Maps", LONG), ("pqy", "none")]
    write_logfile(tmp_path / "log.pdf", "Job", facts, [], [])
    listing = subprocess.run(
        ["pdftotext", "-bbox", tmp_path / "log.pdf", "-"], capture_output=True, text=True, check=True
    )
    bottoms = sorted({round(float(y)) for y in re.findall(r'yMax="([\d.]+)"', listing.stdout)})
    assert len(bottoms) == 1 + 1 + 2 + 2 + 1
    assert min(np.diff(bottoms)) >= 14
