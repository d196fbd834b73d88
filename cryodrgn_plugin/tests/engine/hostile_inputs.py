"""Damaged and crafted inputs for every reader, made from valid ones by chance, and what a reader may do with them.

A reader either takes an input or refuses it in a sentence of ours (`EngineError`); nothing else may come out, it must
not take long, and nothing that the file says may be done. Inputs are drawn from a seed: the same number gives the same
input. `benchmarks/fuzz.py` tries many of them.
"""

import argparse
import contextlib
import io
import json
import pickle
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from cryodrgn_plugin.engine.analysis.latent_points import parse_rows, read_points
from cryodrgn_plugin.engine.atoms.model_reading import read_model
from cryodrgn_plugin.engine.cli.info_command import about_run
from cryodrgn_plugin.engine.config import RunConfig, recipe_config
from cryodrgn_plugin.engine.decoders.decoder_registry import make_decoder
from cryodrgn_plugin.engine.decoders.model_file import load_model, save_model
from cryodrgn_plugin.engine.errors import EngineError
from cryodrgn_plugin.engine.io import cryodrgn
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.io.particles import ParticleTable
from cryodrgn_plugin.engine.io.tables import read_table, search_folders
from cryodrgn_plugin.engine.networks.network_checkpoint import TrainingState, load_checkpoint, save_checkpoint
from cryodrgn_plugin.engine.options import AnalysisOptions, SelectOptions
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.export import Selection
from cryodrgn_plugin.engine.selection.lasso import read_lasso
from cryodrgn_plugin.engine.selection.listed import read_listed
from cryodrgn_plugin.engine.selection.rules import names_in, obeying
from cryodrgn_plugin.relion.arguments import parse_arguments

from .particle_files import optics, rows, write_set
from .planted_run import planted_run

FILES = ["star", "cs", "tilt", "tomograms", "pickle", "map", "settings", "rule", "lasso", "points", "npy", "rows"]
FILES += ["atoms", "mmtf", "listed"]
OF_A_RUN = ["model", "checkpoint", "labels", "run", "run settings", "metrics", "latents", "analysis", "embedding"]
OF_A_RUN += ["selection", "selected"]
"""Names of what `readers` gives."""
ODD_BYTES = [
    b"",
    b"\0",
    b"\xff",
    b"\xfc",
    b'"',
    b"'",
    b"\n",
    b"\n\n",
    b" ",
    b"#",
    b"@",
    b"[",
    b"{",
    b"-",
    b"nan",
    b"1e400",
]
ODD_BYTES += [
    b"-1",
    b"99999999999999999999",
    b"9" * 400,
    b"\xc2\xb2",
    b"Infinity",
    b"null",
    b"true",
    b"aaaa" * 500,
    b"[" * 3000,
]
ODD_BYTES += [b"%s", b"$(touch hacked)", b"../", b"data_", b"loop_", b"_rlnOpticsGroup"]
ODD_VALUES = [None, True, -1, 0, 10**30, 1e308, float("nan"), float("inf"), "", "²", "a" * 1000, "../x", [], {}, [[]]]


@dataclass(frozen=True)
class Reader:
    """One reader: valid contents of its file, and how it is read."""

    suffix: str
    contents: list[bytes]
    read: Callable[[Path], object]


def mutated(content: bytes, number: int) -> bytes:
    """A valid content with one to four damages, drawn from `number`."""
    rng = np.random.default_rng([13, number])
    for _ in range(int(rng.integers(1, 5))):
        content = _DAMAGES[rng.integers(len(_DAMAGES))](content, rng)
    return content


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    if not content:
        return content
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 6))):
        data[rng.integers(len(data))] = rng.integers(256)
    return bytes(data)


def _cut(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: rng.integers(len(content) + 1)]


def _take_out(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    return content[:start] + content[start + int(rng.integers(1, 60)) :]


def _put_in(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    return content[:start] + ODD_BYTES[rng.integers(len(ODD_BYTES))] + content[start + int(rng.integers(3)) :]


def _repeat(content: bytes, rng: np.random.Generator) -> bytes:
    start = int(rng.integers(len(content) + 1))
    part = content[start : start + int(rng.integers(1, 200))]
    return content[:start] + part * int(rng.integers(2, 20)) + content[start:]


def _lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    first, second = rng.integers(len(lines), size=2)
    lines[first], lines[second] = lines[second], lines[first]
    return b"\n".join(line for k, line in enumerate(lines) if k != first or rng.random() < 0.5)


def _words(content: bytes, rng: np.random.Generator) -> bytes:
    words = content.split(b" ")
    words[rng.integers(len(words))] = ODD_BYTES[rng.integers(len(ODD_BYTES))]
    return b" ".join(words)


def _value(content: bytes, rng: np.random.Generator) -> bytes:
    """Another value, or none, at some place of a JSON file."""
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError):
        return _flip(content, rng)
    place = whole
    while isinstance(place, dict | list) and place:
        key = list(place)[rng.integers(len(place))] if isinstance(place, dict) else int(rng.integers(len(place)))
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.2:
            if isinstance(place, dict) and rng.random() < 0.2:
                del place[key]
            else:
                place[key] = ODD_VALUES[rng.integers(len(ODD_VALUES))]
            break
        place = place[key]
    return json.dumps(whole).encode()


_DAMAGES = [_value, _flip, _cut, _take_out, _put_in, _repeat, _lines, _words]


def readers(folder: Path) -> dict[str, Reader]:
    """Every reader by name; what they need lies in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    star = write_set(folder, np.zeros((4, 16, 16), np.float32), rows(4), [optics(box=16)])
    return {
        "star": Reader(".star", [star.read_bytes(), _old_star()], _tables),
        "cs": Reader(".cs", [_cs()], _tables),
        "tilt": Reader(".star", _tilt_series(folder), _tables),
        "tomograms": Reader(".star", [_tomogram_set(), _tomogram_set(angles=True)], _tomograms),
        "pickle": Reader(".pkl", [_pickled(protocol) for protocol in (2, 4, 5)], _pickles),
        "map": Reader(
            ".mrc", [_written(folder / "m.mrc", lambda path: write_map(path, np.zeros((4,) * 3), 1.0))], read_map
        ),
        "settings": Reader(".json", [recipe_config("paper").to_json().encode()], _settings),
        "rule": Reader(".txt", [b"z1 > 0 and cluster == 3", b"abs(z1) ** 2 < 4 or name in ('a', 'b')"], _rule),
        "lasso": Reader(
            ".json", [b'{"space": "pca", "components": [1, 2], "polygon": [[0, 0], [1, 0], [1, 1]]}'], read_lasso
        ),
        "listed": Reader(".txt", [b"0\n17\n40\n"], read_listed),
        "points": Reader(".txt", [b"1 2 3 4\n0.5 1e3 -2 0\n"], lambda path: read_points(str(path), 4)),
        "npy": Reader(".npy", [_npy(np.zeros((3, 4)))], lambda path: read_points(str(path), 4)),
        "rows": Reader(".txt", [b"0,17,40-42"], lambda path: parse_rows(path.read_text(errors="replace"))),
        "atoms": Reader(".pdb", [_PDB], read_model),
        "mmtf": Reader(".mmtf", [_mmtf()], read_model),
        "model": Reader(".pt", [_model(folder)], load_model),
        "checkpoint": Reader(".pt", [_checkpoint(folder)], lambda path: load_checkpoint(path, torch.device("cpu"))),
        "labels": Reader(".txt", [b"--o E/ --in_parts a.star --z_dim 2 --clusters 5 --j 1"], _labels),
        **_of_a_run(folder / "a_run"),
    }


# --- reading as commands do -------------------------------------------------------------------------------------------


def _tables(path: Path) -> None:
    table: ParticleTable = read_table(path)
    for name in ("image_names", "optics_group", "pixel_size_ang", "box", "euler_deg", "origins_ang"):
        getattr(table, name)
    table.ctf()
    table.flag("rlnCtfDataArePhaseFlipped")
    search_folders(path, "")


def _tomograms(path: Path) -> None:
    files = f"data_\n\n_rlnTomoParticlesFile tilts.star\n_rlnTomoTomogramsFile {path.absolute()}\n"
    Path("of_tomograms.star").write_text(files)
    read_table("of_tomograms.star").ctf()


def _pickles(path: Path) -> None:
    for read in (lambda path: cryodrgn.read_poses(path, 16), cryodrgn.read_ctf, cryodrgn.read_latents):
        with contextlib.suppress(EngineError):
            read(path)


def _settings(path: Path) -> None:
    RunConfig.from_json(path.read_text(encoding="utf-8", errors="replace"))


def _rule(path: Path) -> None:
    text = path.read_text(errors="replace")
    names_in(text)
    columns = {"z1": np.linspace(-1, 1, 5), "cluster": np.arange(5), "name": np.array(list("abcde"))}
    obeying(text, columns, 5)


def _labels(path: Path) -> None:
    parse_arguments(path.read_text(errors="replace").split(" "))


def _of_a_run(folder: Path) -> dict[str, Reader]:
    """Readers of the files in a run's folder, each with the rest of the run as it was."""
    folder.mkdir(exist_ok=True)
    run = planted_run(folder, n=12)
    run.note(reliability=0.5)

    def reader(file: Path) -> Reader:
        content = file.read_bytes()

        def read(path: Path) -> None:
            file.write_bytes(path.read_bytes())
            try:
                opened = Run.open(run.path)
                if file.parent.name == "analysis":
                    results = opened.results("analysis")
                    results.arrays_of(np.arange(12))
                    for made_map in (made_map for series in results.all_series for made_map in series["maps"]):
                        results.half_maps(made_map)
                if file.parent.name == "a":
                    Selection.open(opened, "a").chosen(np.arange(12))
                else:
                    about_run(run.path)
            finally:
                file.write_bytes(content)

        return Reader(file.suffix, [content], read)

    known = {"rows": np.arange(12), "labels": np.arange(12) % 2, "pca": np.zeros((12, 2))}
    with run.report("analysis", AnalysisOptions()) as out:
        made_map = {"file": "map.mrc", "label": "1", "z": [0.0], "level": 1.0, "resolution_ang": {"0.143": 8.0}}
        out.index["series"] = [{"name": "clusters", "title": "Clusters", "level": 1.0, "maps": [made_map]}]
        out.index["clusters"] = [{"class": 1, "particles": 6, "share": 0.5}, {"class": 2, "particles": 6, "share": 0.5}]
        out.map("map", "map.mrc", np.zeros((4, 4, 4)), 1.0)
        out.arrays(**known)
    with run.report("selection", SelectOptions(where="z1 > 0"), "a") as out:
        out.arrays(rows=known["rows"], selected=known["labels"] > 0)
    analysis, selection = run.results("analysis"), run.results("selection", "a")
    files = {"run": run.info_file, "run settings": run.config_file, "metrics": run.metrics_file}
    files |= {"latents": run.latents_file, "analysis": analysis.folder / "analysis.json"}
    files |= {"embedding": analysis.file("embedding"), "selection": selection.folder / "selection.json"}
    files |= {"selected": selection.file("arrays")}
    return {name: reader(file) for name, file in files.items()}


# --- valid contents ---------------------------------------------------------------------------------------------------

_PDB = b"".join(
    f"ATOM  {k:5d}  CA  ALA A{k:4d}    {k:8.3f}{2.0:8.3f}{3.0:8.3f}  1.00  0.00           C  \n".encode()
    for k in range(1, 6)
)


def _written(path: Path, write: Callable[[Path], object]) -> bytes:
    write(path)
    return path.read_bytes()


def _old_star() -> bytes:
    lines = [f"{k}@stack.mrcs 'a mic {k}' 12000 11000 45 300 2.7 0.1 10000 5 {k} 90 0 \"it's\"" for k in range(1, 5)]
    names = ["ImageName", "MicrographName", "DefocusU", "DefocusV", "DefocusAngle", "Voltage", "SphericalAberration"]
    names += [
        "AmplitudeContrast",
        "Magnification",
        "DetectorPixelSize",
        "AngleRot",
        "AngleTilt",
        "AnglePsi",
        "GroupName",
    ]
    labels = [f"_rln{name} #{k}" for k, name in enumerate(names, 1)]
    return "\n".join(["", "data_", "", "loop_", *labels, *lines, ""]).encode()


def _npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def _cs() -> bytes:
    kinds = [("uid", "u8"), ("blob/path", "S20"), ("blob/idx", "u4"), ("blob/shape", "u4", 2), ("blob/psize_A", "f4")]
    kinds += [(f"ctf/{name}", "f4") for name in ("accel_kv", "cs_mm", "amp_contrast", "df1_A", "df2_A", "df_angle_rad")]
    kinds += [("ctf/exp_group_id", "u4"), ("alignments3D/pose", "f4", 3), ("alignments3D/shift", "f4", 2)]
    records = np.ones(4, kinds)
    records["blob/path"], records["ctf/amp_contrast"] = b">stack.mrcs", 0.1
    return _npy(records)


def _tomogram_set(angles: bool = False) -> bytes:
    names, values = [f"TomoProj{axis}" for axis in "XYZ"], "[1,0,0,0] [0,1,0,0] [0,0,1,0]"
    if angles:
        names, values = ["TomoXTilt", "TomoYTilt", "TomoZRot", "MicrographPreExposure"], "0 20 85 3"
    names += ["DefocusU", "DefocusV", "DefocusAngle"]
    text = "data_global\n\nloop_\n_rlnTomoName #1\n_rlnTomoHand #2\nt1 -1\n\ndata_t1\n\nloop_\n"
    text += "".join(f"_rln{name} #{k}\n" for k, name in enumerate(names, 1)) + f"{values} 12000 11000 0\n" * 4
    return text.encode()


def _tilt_series(folder: Path) -> list[bytes]:
    (folder / "tomograms.star").write_bytes(_tomogram_set())
    particles = (
        "data_general\n\n_rlnTomoSubTomosAre2DStacks 1\n\n"
        "data_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnImagePixelSize #2\n_rlnVoltage #3\n_rlnSphericalAberration #4\n"
        "_rlnAmplitudeContrast #5\n1 4 300 2.7 0.1\n\ndata_particles\n\nloop_\n"
    )
    names = ["TomoName", "TomoParticleName", "ImageName", "TomoVisibleFrames", "OpticsGroup", "AngleRot", "AngleTilt"]
    names += ["AnglePsi", "OriginXAngst", "OriginYAngst", "OriginZAngst"]
    particles += "".join(f"_rln{name} #{k}\n" for k, name in enumerate(names, 1))
    particles += "t1 t1/1 stack.mrcs [1,1,1,1] 1 0 0 0 0 0 0\n"
    (folder / "tilts.star").write_text(particles)
    files = "data_\n\n_rlnTomoParticlesFile tilts.star\n_rlnTomoTomogramsFile tomograms.star\n"
    return [files.encode(), particles.encode()]


def _pickled(protocol: int) -> bytes:
    content = (np.tile(np.eye(3, dtype=np.float32), (4, 1, 1)), np.zeros((4, 2), np.float32))
    return pickle.dumps(content, protocol)


def _mmtf() -> bytes:
    def text(word: str) -> bytes:
        return bytes([0xA0 | len(word)]) + word.encode()

    def packed(codec: int, count: int, parameter: int, data: bytes) -> bytes:
        body = np.array([codec, count, parameter], ">i4").tobytes() + data
        return bytes([0xC4, len(body)]) + body

    def numbers(*values: int, kind: str = ">i4") -> bytes:
        return np.array(values, kind).tobytes()

    kind = b"\x83" + text("groupName") + text("ALA") + text("atomNameList") + b"\x91" + text("CA")
    kind += text("elementList") + b"\x91" + text("C")
    fields = {
        "chainsPerModel": b"\x91\x01", "groupsPerChain": b"\x91\x03", "groupList": b"\x91" + kind,
        "groupTypeList": packed(4, 3, 0, numbers(0, 0, 0)), "chainIdList": packed(5, 1, 4, b"A\0\0\0"),
        "groupIdList": packed(8, 3, 0, numbers(1, 3)),
        **{f"{axis}CoordList": packed(10, 3, 1000, numbers(1000, 500, 200, kind=">i2")) for axis in "xyz"},
    }  # fmt: skip
    return bytes([0x80 | len(fields)]) + b"".join(text(name) + value for name, value in fields.items())


def _model(folder: Path) -> bytes:
    config = recipe_config("fast", {"z_dim": 1})
    return _written(folder / "model.pt", lambda path: save_model(path, config, make_decoder(config, 8), None, 4.0))


def _checkpoint(folder: Path) -> bytes:
    run = Run(folder / "checkpointed", recipe_config("paper"))
    save_checkpoint(run, TrainingState(epoch=1), {"weight": torch.ones(3)}, [])
    return run.checkpoint_file(1).read_bytes()


def stored_anew(content: bytes, number: int) -> bytes:
    """A file of torch or an npz whose parts are damaged as in `mutated`, while the file around them is whole."""
    rng = np.random.default_rng([17, number])
    with zipfile.ZipFile(io.BytesIO(content)) as before:
        parts = {name: before.read(name) for name in before.namelist()}
    name = list(parts)[rng.integers(len(parts))]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as after:
        for part, data in parts.items():
            after.writestr(part, mutated(data, number) if part == name else data)
    return file.getvalue()


def refuses_all(folder: Path, reader: Reader, inputs: int, slow_seconds: float = 2.0) -> list[str]:
    """What was wrong with the reading of so many damaged inputs, a line each; valid ones must be read."""
    wrong = [
        f"valid: {error!r}" for error in (outcome(reader, c, folder) for c in reader.contents) if error is not None
    ]
    for number in range(inputs):
        content = reader.contents[number % len(reader.contents)]
        damage = stored_anew if content.startswith(b"PK") and number % 2 else mutated
        damaged, began = damage(content, number), time.process_time()
        if (error := outcome(reader, damaged, folder)) is not None:
            wrong.append(f"{number}: {error!r}"[:300])
        if (took := time.process_time() - began) > slow_seconds:
            wrong.append(f"{number}: took {took:.1f} s")
    return wrong


def outcome(reader: Reader, content: bytes, folder: Path) -> BaseException | None:
    """What reading a content raises other than a sentence of ours; None where it is read or refused."""
    path = folder / f"input{reader.suffix}"
    path.write_bytes(content)
    try:
        with contextlib.redirect_stdout(io.StringIO()), np.errstate(all="ignore"):
            reader.read(path)
    except EngineError as refusal:
        sentence = str(refusal)
        return None if len(sentence) < 3000 and sentence else AssertionError(f"no sentence: {sentence[:200]!r}")
    except (argparse.ArgumentError, SystemExit) as refusal:
        return AssertionError(f"ended the process: {refusal!r}")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        return error
    return None
