"""Which lines of a star file are rows: asked of RELION's own reader."""

import pytest

from cryodrgn_plugin.engine.io.star import read_star
from cryodrgn_plugin.tests.hosts import patience
from cryodrgn_plugin.tests.hosts.relion_sandbox import GOLDEN, needs_relion

pytestmark = needs_relion


@pytest.mark.parametrize(
    ("layout", "count"),
    [
        ("{0}\n{1}\n", 2),
        ("{0}\n\n{1}\n", 1),
        ("{0}\n \t \n{1}\n", 1),
        ("# the best\n\n{0}\n{1}\n", 2),
        ("{0} # the best\n{1} #second\n", 2),
        ("{0}\r\n\r\n{1}\r\n", 1),
    ],
    ids=["plain", "blank line", "white line", "comment in the head", "comment after values", "windows"],
)
def test_relion_reads_the_rows_that_are_read_here(tmp_path, layout, count):
    lines = (GOLDEN / "in.star").read_text().splitlines()
    first = next(k for k, line in enumerate(lines) if "@" in line)
    text = "\n".join(lines[:first]) + "\n" + layout.format(*lines[first : first + 2])
    (tmp_path / "in.star").write_bytes(text.encode())
    words = "relion_star_handler --i in.star --o out.star --select rlnDefocusU --minval 0".split()
    patience.run(words, 60, cwd=tmp_path).check_returncode()
    theirs = read_star(tmp_path / "out.star")["particles"]
    ours = read_star(tmp_path / "in.star")["particles"]
    assert len(ours) == count
    assert ours["rlnImageName"].tolist() == theirs["rlnImageName"].tolist()
    assert ours["rlnDefocusU"].tolist() == pytest.approx(theirs["rlnDefocusU"].tolist())
