"""Every command that writes, on sets of sixty small images, and what it leaves behind, to be compared."""

import csv
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from forked_commands import RELION

from cryodrgn_plugin.engine.io.torch_files import load_torch

FAST = "--z_dim 2 --closed_form.iterations 3 --closed_form.n_components 2 --closed_form.nodes 6".split()
SMALL = "--encoder.width 16 --encoder.layers 1 --training.epochs 2".split()
SEARCH = "--ab_initio.rounds 2 --ab_initio.images_per_round 20 --ab_initio.refinements 1 --ab_initio.starts 1".split()
SEARCH += ["--poses.levels", "0"]
MLP = "--decoder.width 16 --decoder.layers 1 --z_dim 2".split()
BY_EPOCH = "--poses.levels 0 --poses.volumes 1 --poses.kept 1 --poses.spacing_deg 30 --poses.shift_steps 3".split()
BY_EPOCH += SMALL
ACE = "--decoder.kind basis --decoder.n_bases 1 --z_dim 1 --amortized.trunk_width 8 --training.batch_size 32".split()
LOOK = "--clusters 3 --components 1 --steps 2".split()
PREPARED = (
    ["simulate", "--out", "sim", "--preset", "adk", *"--n_particles 240 --box 16 --snr 1 --seed 1".split()],
    ["train", "sim/particles.star", "--out", "run", *FAST],
    ["analyze", "run", "--clusters", "2", "--components", "1", "--steps", "2"],
    ["export", "run", "--program", "cryodrgn"],
)
"""What is there before any of the commands: a set, and a run that was looked at, in files of cryoDRGN as well."""
EXPORTED = "run/exports/cryodrgn"
TIMES = {"seconds", "created", "command", "started", "sessions", "peak_memory_mb", "loader_wait_seconds"}
"""What differs between two equal runs."""


@dataclass(frozen=True)
class Written:
    """A command that writes."""

    words: list[str]
    again: list[str] = field(default_factory=list)
    """Words added after a kill."""


RESUME, OVERWRITE = ["--resume"], ["--overwrite"]
COMMANDS: dict[str, Written] = {
    "simulate": Written("simulate --out new --preset adk --n_particles 40 --box 16".split()),
    "simulate over another": Written("simulate --out sim --overwrite --preset adk --n_particles 40 --box 16".split()),
    "train fast": Written(["train", "sim/particles.star", "--out", "new", *FAST], RESUME),
    "train fast, poses too": Written(
        ["train", "sim/particles.star", "--out", "new", *FAST, "--closed_form.free_poses", "yes"], RESUME
    ),
    "train over another": Written(["train", "sim/particles.star", "--out", "run", *FAST, "--seed", "3", *OVERWRITE]),
    "train homogeneous": Written(["train", "sim/particles.star", "--out", "new", "--recipe", "homogeneous"], RESUME),
    "train paper": Written(
        ["train", "sim/particles.star", "--out", "new", "--recipe", "paper", "--decoder.n_bases", "2", *SMALL], RESUME
    ),
    "train cryodrgn": Written(
        ["train", "sim/particles.star", "--out", "new", "--recipe", "cryodrgn", *MLP, *SMALL], RESUME
    ),
    "abinitio": Written(["abinitio", "sim/particles.star", "--out", "new", "--homogeneous", *SEARCH], RESUME),
    "abinitio, moving": Written(
        ["abinitio", "sim/particles.star", "--out", "new", *SEARCH, *FAST, "--ab_initio.conformers", "2"], RESUME
    ),
    "cryodrgn2": Written(
        ["abinitio", "sim/particles.star", "--out", "new", "--recipe", "cryodrgn2", *MLP, *BY_EPOCH], RESUME
    ),
    "ace": Written(["abinitio", "sim/particles.star", "--out", "new", "--recipe", "ace", *ACE, *SMALL], RESUME),
    "refine-poses": Written(["refine-poses", "sim/particles.star", "--out", "new"], RESUME),
    "analyze": Written(["analyze", "run", *LOOK]),
    "landscape": Written("landscape run --mapped 20 --sketch 40 --bootstrap 20".split()),
    "trajectory": Written("trajectory run --steps 4".split()),
    "states": Written("states run --states 2 --particles 0".split()),
    "volumes": Written("volumes run --particles 0,1,2 --out new --half-maps".split()),
    "validate": Written("validate run --permutations 99 --bootstrap 20 --tested 100 --nodes 8".split(), RESUME),
    "select": Written("select run --clusters 1 --annotate yes --name some".split()),
    "select junk": Written("select run --junk yes --name clean".split()),
    "export": Written("export run".split()),
    "export over another": Written("export run --program cryodrgn".split()),
    "import": Written(["import", "sim/particles.star", "--latents", f"{EXPORTED}/z.pkl", "--out", "new"], OVERWRITE),
    "import over another": Written(
        ["import", "sim/particles.star", "--latents", f"{EXPORTED}/z.pkl", "--out", "run", "--seed", "3", *OVERWRITE]
    ),
    "import particles": Written(
        ["import", "sim/particles.mrcs", *f"--poses {EXPORTED}/poses.pkl --ctf {EXPORTED}/ctf.pkl".split()]
        + ["--out", "new.star"]
    ),
    "scheme": Written([RELION, *"scheme --particles sim/particles.star --relion_version 5".split()]),
    "subtract": Written("subtract run --mask=0,0,20,20 --out new".split()),
    "reconstruct": Written("reconstruct sim/particles.star --out new".split()),
    "preflight": Written("preflight sim/particles.star --out new".split()),
    "fsc": Written("fsc sim/maps/state_000.mrc sim/maps/state_049.mrc --out f.json --figure f.png".split()),
    "align": Written("align --map sim/maps/state_000.mrc sim/maps/state_049.mrc --save a.mrc --out a.json".split()),
    "compare": Written("compare run --truth sim --out c.json".split()),
}


def contents(folder: Path) -> dict[str, str]:
    """A digest of each file below `folder` by its name, times and what is said of machines left out; logs are not
    compared."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(_lasting(file)).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != "run.log"
    }


def leftovers(folder: Path) -> list[str]:
    """Hidden files and folders below `folder`: what is being written, and locks."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob(".*")]


def _lasting(file: Path) -> bytes:
    content = file.read_bytes()
    if file.suffix == ".json":
        return json.dumps(_without_times(json.loads(content))).encode()
    if file.name == "metrics.csv":
        rows = list(csv.DictReader(content.decode().splitlines()))
        return json.dumps([_without_times(row) for row in rows]).encode()
    if file.parent.name == "checkpoints":
        return repr(list(_flat(load_torch(file)))).encode()
    if file.suffix == ".csg":
        return b"\n".join(line for line in content.splitlines() if not line.startswith(b"created"))
    return content


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a checkpoint by their names, a digest of each tensor; the time that it took is left out."""
    if isinstance(value, dict | list | tuple):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            if key not in TIMES:
                yield from _flat(part, f"{name}/{key}")
    elif isinstance(value, torch.Tensor):
        yield name, (tuple(value.shape), hashlib.sha256(value.numpy().tobytes()).hexdigest())
    else:
        yield name, value


def _without_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_times(part) for name, part in value.items() if name not in TIMES}
    return [_without_times(part) for part in value] if isinstance(value, list) else value


def differences(found: dict[str, str], wanted: dict[str, str]) -> Iterator[str]:
    """What is other than it should be, file by file."""
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            yield f"{name} is {'absent' if name not in found else 'left over' if name not in wanted else 'different'}"
