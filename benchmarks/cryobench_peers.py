"""How cryoDRGN 4.3.1 and RECOVAR 1.0.5 are driven on a set: their latent coordinates, and their maps at some of them.

Each is an environment of its own (`pip install cryodrgn==4.3.1`, `pip install recovar==1.0.5`); nothing of them is
imported here. They run as processes of low priority, one thread each, on the processor alone. RECOVAR is given a mask
of the true maps, which ours does without, and runs as `recovar_on_cpu.py` mends it.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from scipy.ndimage import binary_dilation, gaussian_filter

from cryodrgn_plugin.engine.io.cryodrgn import read_latents
from cryodrgn_plugin.engine.io.mrc import read_map, write_map
from cryodrgn_plugin.engine.io.particles import read_particles

CRYODRGN_REDUCED = ("--enc-dim", 128, "--dec-dim", 128, "--lr", 0.0005, "--batch-size", 8, "--no-amp")
"""Networks an eighth as wide as its defaults, which take an hour of one core per epoch of 5,000 images of 64², and five
times the learning rate in half the batches, so that few epochs go far."""
RECOVAR_ZDIM = 4
RECOVAR_MEMORY_GB = 1
"""What it plans its batches and its number of principal components for: 115 of them at 48², of which `RECOVAR_ZDIM`
make its latent space. Left to itself it plans for half of the machine's memory, and takes more."""
MENDED_RECOVAR = Path(__file__).with_name("recovar_on_cpu.py")
MASK_LEVEL = 0.02
"""Of the highest density of the true maps, smoothed by one voxel: what has more, and two voxels around it, is the mask
that RECOVAR is given, a soft edge its own."""


@dataclass(frozen=True)
class Budget:
    """What a peer may use for training."""

    cpu_minutes: float
    epochs: int


@dataclass
class Peer:
    """What a peer found."""

    z: np.ndarray
    """(N, Z), in the order of the star file."""
    volumes_at: Callable[[np.ndarray], np.ndarray]
    """Rows of the star file (n,) → (n, D, D, D)."""
    settings: str
    run: "Runner"
    training_cpu: float
    """Processor seconds; `run.cpu` has them all, those for maps too."""


@dataclass
class Runner:
    """Runs the commands of a program in its environment and adds up what they use."""

    program: Path
    log: Path
    script: tuple[Path, ...] = ()
    """What the program is to run, where it is an interpreter."""
    cpu: float = 0.0

    def __call__(self, *words: object, cpu_minutes: float | None = None) -> bool:
        """Run one command; whether it ended by itself, and not at the limit. Raises RuntimeError when it fails."""
        limit = None if cpu_minutes is None else round(60 * cpu_minutes)
        before = _children_cpu()
        with open(self.log, "a", encoding="utf-8") as log:
            code = subprocess.run(
                [str(word) for word in (self.program, *self.script, *words)],
                check=False,
                stdout=log,
                stderr=log,
                env=os.environ | ON_ONE_CORE,
                preexec_fn=lambda: _last_in_line(limit),
            ).returncode
        self.cpu += _children_cpu() - before
        if code not in (0, -signal.SIGXCPU):
            tail = self.log.read_text(encoding="utf-8").strip().splitlines()[-1:]
            raise RuntimeError(f"{self.program.name} {words[0]} ended with {code}: {' '.join(tail)}")
        return code == 0


NICER = 10
"""By how much a peer gives way, beyond what this process does."""
ON_ONE_CORE = {
    **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"),
    **{"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"},
}


def cryodrgn(bin_folder: Path, star: Path, folder: Path, budget: Budget) -> Peer:
    """train_vae with narrow networks until its time is used or its epochs are done; the last whole epoch counts.

    Raises RuntimeError when it fails or has not done one epoch.
    """
    run, table = Runner(bin_folder / "cryodrgn", folder / "log.txt"), read_particles(star)
    box, pixel_ang = int(table.box[0]), float(table.pixel_size_ang[0])
    for table_name in ("pose", "ctf"):
        size = ("-D", box, "--Apix", pixel_ang)
        run(f"parse_{table_name}_star", star, "-o", folder / f"{table_name}.pkl", *size)
    given = ("--zdim", 8, "-n", budget.epochs, "--seed", 0, *CRYODRGN_REDUCED)
    read = (star.with_name("particles.mrcs"), "--poses", folder / "pose.pkl", "--ctf", folder / "ctf.pkl")
    run("train_vae", *read, "-o", folder, "--no-analysis", *given, cpu_minutes=budget.cpu_minutes)
    done = [epoch for epoch in range(1, budget.epochs + 1) if _is_left(folder, epoch)]
    if not done:
        raise RuntimeError(f"cryodrgn did no epoch in {budget.cpu_minutes} minutes of one core")
    z = read_latents(folder / f"z.{done[-1]}.pkl")[0].astype(np.float64)

    def volumes_at(rows: np.ndarray) -> np.ndarray:
        out = folder / f"maps_of_{len(rows)}"
        np.savetxt(folder / "z.txt", z[rows])
        model = (folder / f"weights.{done[-1]}.pkl", "-c", folder / "config.yaml", "--zfile", folder / "z.txt")
        run("eval_vol", *model, "-o", out, "--Apix", pixel_ang)
        return _maps(out, "vol_*.mrc", len(rows))

    settings = f"train_vae {' '.join(map(str, given))}; {done[-1]} epochs done in {budget.cpu_minutes} minutes at most"
    return Peer(z, volumes_at, settings, run, run.cpu)


def recovar(bin_folder: Path, star: Path, folder: Path, budget: Budget, *, contrast: bool = False) -> Peer:
    """The pipeline in a mask of the true maps, contrast estimated or not; maps are of compute_state.

    Raises RuntimeError when it fails or is not done in its time.
    """
    run, out = Runner(bin_folder / "python", folder / "log.txt", (MENDED_RECOVAR,)), folder / "run"
    write_mask(star.parent, folder / "mask.mrc")
    memory = ("--gpu-budget-gb", RECOVAR_MEMORY_GB)
    given = ("--zdim", RECOVAR_ZDIM, "--no-downsample", "--uninvert-data", "true", *memory)
    given += ("--correct-contrast",) if contrast else ()
    where = (star, "-o", out, "--mask", folder / "mask.mrc", "--accept-cpu")
    if not run("pipeline", *where, *given, cpu_minutes=budget.cpu_minutes):
        raise RuntimeError(f"recovar's pipeline was not done in {budget.cpu_minutes} minutes of one core")
    z = np.load(out / "model" / f"zdim_{RECOVAR_ZDIM}" / "latent_coords.npy").astype(np.float64)

    def volumes_at(rows: np.ndarray) -> np.ndarray:
        maps = folder / f"maps_of_{len(rows)}"
        np.savetxt(folder / "z.txt", z[rows])
        run("compute_state", out, "-o", maps, "--latent-points", folder / "z.txt", *memory)
        return _maps(maps, "state[0-9][0-9][0-9].mrc", len(rows))

    settings = f"pipeline --mask (of the true maps) {' '.join(map(str, given))}; compute_state"
    return Peer(z, volumes_at, settings, run, run.cpu)


def write_mask(folder: Path, path: Path) -> None:
    """Where any of the true maps of a set has density, with two voxels more; 0 or 1."""
    files = sorted((folder / "maps").glob("state_*.mrc"))
    maps = [read_map(file) for file in files]
    highest = gaussian_filter(np.max([volume for volume, _ in maps], axis=0), 1.0)
    inside = binary_dilation(highest > MASK_LEVEL * highest.max(), iterations=2)
    write_map(path, inside.astype(np.float32), maps[0][1])


PEERS = {"cryodrgn": cryodrgn, "recovar": recovar}


def _is_left(folder: Path, epoch: int) -> bool:
    """Whether an epoch is whole: its coordinates are written last."""
    return all((folder / f"{name}.{epoch}.pkl").exists() for name in ("weights", "z"))


def _maps(folder: Path, pattern: str, count: int) -> np.ndarray:
    paths = sorted(folder.glob(pattern))
    if len(paths) != count:
        raise RuntimeError(f"{folder} has {len(paths)} maps; {count} were asked for")
    return np.stack([mrcfile.read(path).astype(np.float32) for path in paths])


def _last_in_line(cpu_seconds: int | None) -> None:
    os.nice(NICER)
    if cpu_seconds is not None:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds + 60))


def _children_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
