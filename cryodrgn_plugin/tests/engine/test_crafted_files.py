"""Small files that ask for much are refused at once; what there is no memory for is a sentence."""

import gzip
import io
import resource
import zipfile

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.latent_points import parse_rows, read_points
from cryodrgn_plugin.engine.atoms.mmtf import decode
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.cli import info_command
from cryodrgn_plugin.engine.cli import main as cli
from cryodrgn_plugin.engine.config import RunConfig
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.arrays import read_arrays
from cryodrgn_plugin.engine.io.cs import read_cs
from cryodrgn_plugin.engine.selection.rules import obeying


@pytest.fixture(autouse=True)
def one_gigabyte_more():
    """What the process has reserved and 1 GB."""
    with open("/proc/self/statm") as file:
        reserved = int(file.read().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (reserved + 2**30, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


def announced(shape: str, descr: str = "'<f4'") -> bytes:
    """A file in numpy's format that announces more than it has."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + bytes(64)


@pytest.mark.parametrize("shape", ["(1000000000, 4)", "(10, -1)", "(0, 1000000000000)", "(99999999999999999999,)"])
def test_an_array_that_its_file_cannot_hold_is_refused(tmp_path, shape):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("z.npy", announced(shape))
    (tmp_path / "a.npy").write_bytes(announced(shape))
    if not shape.startswith("(0"):
        with pytest.raises(DataError, match=r"a\.npz is damaged"):
            read_arrays(tmp_path / "a.npz", "z")
    for name in ("a.npz", "a.npy"):
        with pytest.raises(DataError):
            read_points(str(tmp_path / name), 4)


def test_an_archive_that_unpacks_to_much_more_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("z.npy", bytes(2**29))
    with pytest.raises(DataError, match=r"a\.npz is damaged"):
        read_arrays(tmp_path / "a.npz")


@pytest.mark.parametrize("descr", ["[('uid', '<u8'), ('blob/path', 'O')]", "[('uid', '<u8', (1000000000,))]", "'<f4'"])
def test_records_of_other_kinds_are_no_particles(tmp_path, descr):
    (tmp_path / "p.cs").write_bytes(announced("(4,)", descr))
    with pytest.raises(DataError, match=r"p\.cs: "):
        read_cs(tmp_path / "p.cs")


def test_run_lengths_beyond_any_molecule_are_refused():
    runs = np.array([8, 2, 0, 1, 2**31 - 1, 1, 2**31 - 1], ">i4").tobytes()
    with pytest.raises(ValueError, match="4,294,967,294 values"):
        decode(runs)


def test_a_model_that_unpacks_to_much_more_is_refused(tmp_path):
    file = io.BytesIO()
    with gzip.GzipFile(fileobj=file, mode="wb") as packed:
        for _ in range(300):
            packed.write(bytes(2**20))
    (tmp_path / "a.mmtf.gz").write_bytes(file.getvalue())
    with pytest.raises(
        DataError, match=r"a\.mmtf\.gz cannot be read as an MMTF file \(ValueError: it has more than 256 MB"
    ):
        read_model(tmp_path / "a.mmtf.gz")


@pytest.mark.parametrize("words", ["0-999999999999", "0-99999999999999999999999", "0-60000,0-60000"])
def test_more_particles_than_anybody_names_are_refused(words):
    with pytest.raises(ConfigError, match="names more than 100,000 particles"):
        parse_rows(words)
    assert parse_rows("0,17,40-42") == [0, 17, 40, 41, 42]


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "1" * 5000, "7", '"a"', "[]", '{"data": 3}', '{"data": {"box": 1e999}}', "{"]
)
def test_what_is_no_set_of_settings_is_said(text):
    with pytest.raises(ConfigError):
        RunConfig.from_json(text)


HARD = [
    "(" * 3000 + "z1" + ")" * 3000,
    "z1 > " + "2**" * 200 + "2",
    "not " * 3000 + "z1",
    "z1 == []",
    "z1 in (1, 'a')",
    "1e400 < z1",
]


@pytest.mark.parametrize(
    "rule", [*HARD, "9" * 400 + " > z1", "z1 in ((1, 2), 3)", "1/0 > z1", "(-1)**0.5 > z1", "z1 < (1, 2, 3)"]
)
def test_a_hard_rule_is_answered_or_refused(rule):
    try:
        answer = obeying(rule, {"z1": np.arange(3.0)}, 3)
    except ConfigError as error:
        assert len(str(error)) < 600
    else:
        assert answer.shape == (3,) and answer.dtype == bool


def test_too_little_memory_is_a_sentence(monkeypatch, tmp_path, capsys):
    def too_much(_):
        raise MemoryError

    monkeypatch.setattr(info_command, "run", too_much)
    assert cli.main(["info", str(tmp_path)]) == cli.USER_ERROR
    assert "There was not enough memory; lower data.box" in capsys.readouterr().err
