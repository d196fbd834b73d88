"""Work goes on wherever its output goes: to a terminal of few letters, to nobody, or into a figure's title."""

import os
import subprocess
import sys

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.figure_style import figure

SAYS_SQUARED = """
import sys
from cryodrgn_plugin.engine import streams_out
streams_out.settle()
print("of 32² px, 8 Å")
print("Å", file=sys.stderr)
sys.stdout.flush()
"""


def said(shell_end: str = "", **environment: str) -> subprocess.CompletedProcess:
    command = ["sh", "-c", f'"$0" -c "$1" {shell_end}', sys.executable, SAYS_SQUARED]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, check=False)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", b"of 32? px, 8 ?\n"),
        ("latin-1", "of 32² px, 8 Å\n".encode("latin-1")),
        ("utf-8", "of 32² px, 8 Å\n".encode()),
    ],
)
def test_letters_that_cannot_be_shown_are_question_marks(encoding, expected):
    done = said(PYTHONIOENCODING=encoding)
    assert done.returncode == 0 and done.stdout == expected


@pytest.mark.parametrize("end", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_end_nothing(end):
    assert said(end).returncode == 0


def test_work_goes_on_when_its_reader_has_gone(tmp_path):
    works = (
        "import sys\nfrom pathlib import Path\nfrom cryodrgn_plugin.engine import streams_out\nstreams_out.settle()\n"
        "for step in range(20000):\n    print('step', step, flush=step % 10 == 0)\n"
        f"Path({str(tmp_path / 'done')!r}).write_text(str(step))\n"
    )
    done = subprocess.run(
        ["sh", "-c", '("$0" -c "$1"; echo $? >&2) | head -n 1', sys.executable, works], capture_output=True, check=False
    )
    assert (done.stdout, done.stderr) == (b"step 0\n", b"0\n")
    assert (tmp_path / "done").read_text() == "19999"


def test_dollars_in_a_title_are_dollars(tmp_path):
    for name, title in (("plain", "run x"), ("dollars", "run $x_{$")):
        with figure(tmp_path / f"{name}.png", 2, 1) as page:
            page.subplots().set_title(title)
    sizes = [np.frombuffer((tmp_path / f"{name}.png").read_bytes()[16:24], ">i4") for name in ("plain", "dollars")]
    np.testing.assert_array_equal(*sizes)
