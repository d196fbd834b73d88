"""Pickles of arrays are read as numpy reads them; crafted ones are refused at once, and nothing of them is done."""

import io
import pickle
import pickletools
import struct
import subprocess
import sys
import time

import numpy as np
import pytest

from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io import cryodrgn
from cryodrgn_plugin.engine.io.pickles import read_pickles

ARRAYS = [
    np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    np.arange(5, dtype=">f8"),
    np.arange(5, dtype=np.int8),
    np.array([True, False]),
    np.zeros((0, 9), np.float16),
    np.array(7.5),
]


def written(folder, *contents: bytes):
    (folder / "a.pkl").write_bytes(b"".join(contents))
    return folder / "a.pkl"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_arrays_are_read_as_numpy_reads_them(tmp_path, array, protocol):
    content = (array, [array[:1] if array.ndim else array, 3, 2.5, "text", None, True], np.float32(1.5))
    first, listed, scalar = read_pickles(written(tmp_path, pickle.dumps(content, protocol)), 1)[0]
    np.testing.assert_array_equal(first, array)
    assert first.dtype == array.dtype and listed[1:] == [3, 2.5, "text", None, True] and scalar == 1.5
    first[...] = 1  # may be changed


def test_pickles_that_follow_each_other_are_read_one_by_one(tmp_path):
    path = written(tmp_path, *(pickle.dumps(np.full(3, k)) for k in range(3)))
    assert [int(array[0]) for array in read_pickles(path, 2)] == [0, 1]


class Runs:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


def nested_twice(levels: int) -> bytes:
    """A tuple of twice the tuple before, and so on: small in the file, 2 to the power of `levels` when looked at."""
    start = b"\x80\x04" + b"K\x01"
    return start + b"".join(b"\x94h" + bytes([k]) + b"\x86" for k in range(levels)) + b"."


def crafted_type(state: tuple, code: str = "f4") -> bytes:
    """An array whose type of values is given another state."""
    data = pickle.dumps(np.zeros(2, "f4"), 2)
    plain = pickle.dumps((3, "<", None, None, None, -1, -1, 0), 2)
    assert plain[2:-1].split(b"q")[0][:4] in data
    file = io.BytesIO()
    machine = pickle.Pickler(file, 2)
    machine.dump(Typed(code, state))
    return file.getvalue()


class Typed:
    def __init__(self, code, state):
        self.code, self.state = code, state

    def __reduce__(self):
        return np.dtype, (self.code, False, True), self.state


HOSTILE = {
    "a call": pickle.dumps(Runs(print, "hacked")),
    "a call of numpy": pickle.dumps(Runs(np.fromfile, "/etc/passwd")),
    "a codec": pickle.dumps(Runs(__import__("_codecs").encode, "text", "no_such_codec")),
    "objects": pickle.dumps(np.array([1, None], object)),
    "texts": pickle.dumps(np.array(["a"])),
    "records": pickle.dumps(np.zeros(2, [("a", "f4")])),
    "dates": pickle.dumps(np.zeros(2, "M8[s]")),
    "complex": pickle.dumps(np.zeros(2, complex)),
    "twice and twice": nested_twice(60),
    "deep": b"\x80\x04" + b"]" * 50_000 + b"a" * 49_999 + b".",
    "crafted size": crafted_type((3, "<", None, None, None, 1_000_000, 1, 0)),
    "crafted flags": crafted_type((3, "|", None, None, None, -1, -1, 63)),
    "crafted fields": crafted_type((3, "|", None, ("a",), {"a": 1}, 8, 1, 16)),
    "object type without its flags": crafted_type((3, "|", None, None, None, -1, -1, 0), "O8"),
    "a set": pickle.dumps({1, 2}),
    "a mapping": pickle.dumps({"a": np.zeros(2)}),
    "many instructions": b"\x80\x04" + b"N0" * 500_000 + b"N.",
    "a long text": b"\x80\x04\x8d" + struct.pack("<Q", 2**60) + b"abc.",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"abc.",
    "nothing on the stack": b"\x80\x04\x86.",
    "an unknown place": b"\x80\x04h\x05.",
    "half": pickle.dumps(np.zeros(20))[:60],
    "empty": b"",
    "no pickle": b"hello",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_array_is_refused_at_once(tmp_path, capsys, name):
    path = written(tmp_path, HOSTILE[name])
    began = time.process_time()
    for read in (cryodrgn.read_ctf, cryodrgn.read_latents, lambda path: cryodrgn.read_poses(path, 16)):
        with pytest.raises(DataError, match=r"a\.pkl: .*Give a file that cryoDRGN wrote\.$") as error:
            read(path)
        assert len(str(error.value)) < 1000 and "\n" not in str(error.value)
    assert time.process_time() - began < 3
    assert "hacked" not in capsys.readouterr().out


def test_a_shape_that_the_file_does_not_fill_is_refused(tmp_path):
    data = pickle.dumps(np.zeros(7, np.uint8), 2)
    place = next(p for op, arg, p in pickletools.genops(data) if op.name == "BININT1" and arg == 7)
    with pytest.raises(DataError, match=r"an array of shape \(200,\) in 7 bytes"):
        cryodrgn.read_ctf(written(tmp_path, data[: place + 1] + bytes([200]) + data[place + 2 :]))


@pytest.mark.shared
def test_files_that_broke_numpy_are_refused_in_a_process_that_goes_on(shared):
    files = sorted(map(str, (shared.parent / "reports" / "faults" / "pickle_segv").iterdir()))
    script = """
import sys
from cryodrgn_plugin.engine.errors import DataError
from cryodrgn_plugin.engine.io import cryodrgn
for path in sys.argv[1:]:
    try:
        cryodrgn.read_latents(path)
    except DataError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, *files], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and len(done.stdout.splitlines()) == len(files)
