"""The run folder: the only code that knows its file names and its schema. docs/run_folder.md describes every file.

A run is what the trainer leaves and what analysis, viewers and hosts read. Nothing in it needs unpickling, every file
is written atomically, and `run.json` always says what became of the run and why.
"""

import csv
import dataclasses
import errno
import io
import json
import shutil
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .config import RunConfig
from .errors import DataError, EngineError
from .io.writing import replacing, write_text
from .progress import PlainReporter, Reporter
from .provenance import peak_memory_mb, provenance
from .run_layout import RunLayout
from .stopping import Stopped

if TYPE_CHECKING:
    from .io.particles import ParticleTable

SCHEMA = 1
"""Version of the folder's layout; raised when a reader of the old layout would misread the new one."""

MAY_CHANGE_ON_RESUME = (
    "device",
    "root",
    "data.cache_mb",
    "training.epochs",
    "training.checkpoint_every",
    "training.early_stop",
)
"""Settings that a resumed run may change: they decide how long and where it computes, not what."""


@dataclass(frozen=True)
class Latents:
    """Where each particle lies in the latent space, in the order of the star file's rows."""

    z: np.ndarray
    """(N, Z) float32."""
    rows: np.ndarray
    """(N,) int64: the star row of each entry; 0..N-1 unless the run used a random part of the particles."""
    coordinate: np.ndarray | None = None
    """(N,) float32: position along the curve that was found, if one was."""
    uncertainty: np.ndarray | None = None
    """(N,) float32: standard deviation of the coordinate, or of z where there is no coordinate."""


class Run(RunLayout):
    """One run folder. Use `Run.create` or `Run.open`."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        super().__init__(path)
        self.config = config
        self.reporter: Reporter = PlainReporter()

    # --- creating and opening -------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: str | Path, config: RunConfig, *, resume: bool = False, overwrite: bool = False, command: str = ""
    ) -> "Run":
        """Make the folder of a new run, or take up the one that is there.

        `resume` continues an existing run with `config`, which may differ only in `MAY_CHANGE_ON_RESUME`; where there
        is no run yet it starts one. `overwrite` removes an existing run first. `command` is kept as provenance.

        Raises DataError when a run is there and neither is given, or when it was made with other settings.
        """
        path = Path(path)
        if (path / "run.json").exists() and not overwrite:
            if not resume:
                raise DataError(f"{path} already holds a run; resume it, overwrite it, or choose another folder.")
            return cls._take_up(path, config)
        if path.exists() and not path.is_dir():
            raise DataError(f"{path} is a file; give a folder for the run.")
        run = cls(path, config)
        if run.info_file.exists():
            run.remove_contents()
        write_text(run.config_file, config.to_json() + "\n")
        run._write_info(
            {"schema": SCHEMA, "status": "created", "message": "", "provenance": provenance(config, command)}
        )
        return run

    @classmethod
    def open(cls, path: str | Path) -> "Run":
        """Open an existing run. Raises DataError when `path` is not a run folder or was written by a newer version."""
        path = Path(path)
        info = _read_json(path / "run.json", path)
        schema = info.get("schema")
        if not isinstance(schema, int):
            raise DataError(f"{path} is not a run folder: its run.json names no schema.")
        if schema > SCHEMA:
            raise DataError(
                f"{path} was written by a newer version (run schema {schema}, this one reads up to {SCHEMA}); update."
            )
        try:
            return cls(path, RunConfig.from_json((path / "config.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            raise DataError(f"{path} is not a complete run folder: its config.json cannot be read.") from None

    @classmethod
    def _take_up(cls, path: Path, config: RunConfig) -> "Run":
        run = cls.open(path)
        changed = [name for name in differing_settings(run.config, config) if name not in MAY_CHANGE_ON_RESUME]
        if changed:
            name = changed[0]
            raise DataError(
                f"{path} was made with {name} = {_flat(run.config)[name]!r}, not {_flat(config)[name]!r}; "
                "resume with the same settings, or start a new run."
            )
        if config != run.config:
            run.config = config
            write_text(run.config_file, config.to_json() + "\n")
            run._record("train", "stopped", "Settings were changed; the run goes on from its last checkpoint.", {})
        return run

    # --- status and provenance ------------------------------------------------------------------------------------

    @property
    def info(self) -> dict[str, Any]:
        """run.json as it is now."""
        return _read_json(self.info_file, self.path)

    @property
    def status(self) -> str:
        """created, running, finished, failed or stopped."""
        return self.info["status"]

    @property
    def message(self) -> str:
        """Why the run failed or stopped; empty otherwise."""
        return self.info["message"]

    @contextmanager
    def working(self, step: str = "train") -> Iterator[None]:
        """Keep run.json truthful while the block runs: running, then finished, failed or stopped, with the reason.

        The status of step "train" is the run's own; other steps ("analysis") keep theirs under their name, so that a
        failed analysis does not spoil a finished run. Errors pass through.
        """
        began = time.time()
        # A resumed training goes on with its clock; every other step starts anew.
        before = self.info.get("steps", {}).get(step, {}) if step == "train" else {}
        started = {"started": before.get("started", _timestamp(began)), "sessions": before.get("sessions", 0) + 1}
        self._record(step, "running", "", started)
        status, message = "failed", ""
        try:
            yield
            status = "finished"
        except Stopped as stop:
            status, message = "stopped", str(stop)
            raise
        except BaseException as error:
            message = explain(error)
            if not isinstance(error, EngineError):
                with suppress(OSError):
                    self._append_to_log(traceback.format_exc())
            raise
        finally:
            seconds = before.get("seconds", 0.0) + time.time() - began
            figures = {"seconds": round(seconds, 1), "peak_memory_mb": peak_memory_mb()}
            # On a full disk the status cannot be kept either; the error that says so matters more.
            with nullcontext() if status == "finished" else suppress(DataError):
                self._record(step, status, message, figures)

    def note(self, **values: Any) -> None:
        """Add figures worth keeping (JSON values) to run.json under "notes"."""
        info = self.info
        self._write_info({**info, "notes": {**info.get("notes", {}), **values}})

    def _record(self, step: str, status: str, message: str, figures: Mapping[str, Any]) -> None:
        info = self.info
        state = {"status": status, "message": message}
        if step == "train":
            info.update(state)
        info.setdefault("steps", {}).setdefault(step, {}).update({**state, **figures})
        self._write_info(info)

    def _write_info(self, info: Mapping[str, Any]) -> None:
        write_text(self.info_file, json.dumps(info, indent=2) + "\n")

    # --- log and progress -----------------------------------------------------------------------------------------

    def log(self, line: str) -> None:
        """Write a line to run.log and show it."""
        self._append_to_log(f"{_timestamp(time.time())}  {line}\n")
        self.reporter.line(line)

    def progress(self, stage: str, done: int, total: int, **values: float) -> None:
        """Show that `done` of `total` steps of `stage` are over, with figures such as loss=0.98."""
        self.reporter.step(stage, done, total, values)

    def _append_to_log(self, text: str) -> None:
        with open(self.log_file, "a", encoding="utf-8") as log:
            log.write(text)

    # --- contents -------------------------------------------------------------------------------------------------

    def append_metrics(self, row: Mapping[str, float]) -> None:
        """Add one epoch's figures to metrics.csv; `row` must have "epoch". Rows of the same or a later epoch, left by a
        run that was killed after them, are replaced; columns may be added on the way."""
        rows = [old for old in self.metrics() if old["epoch"] < row["epoch"]] + [dict(row)]
        columns = list(dict.fromkeys(name for r in rows for name in r))
        text = io.StringIO()
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.metrics_file, text.getvalue())

    def metrics(self) -> list[dict[str, float]]:
        """The rows of metrics.csv; a figure that an epoch does not have is absent from its row."""
        if not self.metrics_file.exists():
            return []
        with open(self.metrics_file, newline="", encoding="utf-8") as file:
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
        return [{**row, "epoch": int(row["epoch"])} for row in rows]

    def save_latents(
        self,
        z: np.ndarray,
        *,
        coordinate: np.ndarray | None = None,
        uncertainty: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        """Write latents.npz; see `Latents` for shapes. `rows` must be given when not every star row was used."""
        arrays = {
            "z": np.asarray(z, np.float32),
            "rows": np.arange(len(z)) if rows is None else np.asarray(rows, np.int64),
        }
        for name, values in (("coordinate", coordinate), ("uncertainty", uncertainty)):
            if values is not None:
                arrays[name] = np.asarray(values, np.float32)
        for name, values in arrays.items():
            assert len(values) == len(z), f"{name} has {len(values)} entries for {len(z)} particles"
        with replacing(self.latents_file) as temporary:
            np.savez(temporary, **arrays)

    def latents(self) -> Latents:
        """Read latents.npz. Raises DataError when the run has none yet."""
        if not self.latents_file.exists():
            reason = f" ({self.status}{': ' + self.message if self.message else ''})"
            raise DataError(f"{self.path} has no latents.npz: the training has not finished{reason}.")
        with np.load(self.latents_file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return Latents(
            arrays["z"], arrays["rows"], coordinate=arrays.get("coordinate"), uncertainty=arrays.get("uncertainty")
        )

    @contextmanager
    def replacing_folder(self, folder: Path) -> Iterator[Path]:
        """A new folder that takes the place of `folder`, one of the run's, when the block succeeds; after an error the
        old one stays."""
        fresh = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(fresh, ignore_errors=True)
        try:
            fresh.mkdir(parents=True)
            yield fresh
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def save_poses(
        self,
        rows: np.ndarray,
        rotations: np.ndarray,
        shifts_ang: np.ndarray,
        *,
        species: np.ndarray | None = None,
        score: np.ndarray | None = None,
    ) -> None:
        """Write poses.star: the particles at `rows` (N,) with the poses that were found; see `found_poses.posed_frame`.

        `rotations` (N, 3, 3) turn volume to view and `shifts_ang` (N, 2) say where the feature is, both physical.
        """
        from .io.found_poses import posed_frame, tables_with
        from .io.star import write_star

        table = self._given_particles()
        frame = posed_frame(table, np.asarray(rows), rotations, shifts_ang, species, score)
        write_star(self.poses_file, tables_with(table, frame))

    def particles(self) -> "ParticleTable":
        """The particles the run was made from: all rows of its star file, with the poses that the run has found."""
        from .io.found_poses import put_back
        from .io.particles import read_particles

        given = self._given_particles()
        return put_back(given, read_particles(self.poses_file)) if self.poses_file.exists() else given

    @property
    def given_file(self) -> Path:
        """The star file the run was made from."""
        given = Path(self.config.particles)
        # Hosts name the file relative to their project, which need not be the working folder of who asks now.
        bases = (Path(), *self.path.resolve().parents)
        return next((base / given for base in bases if (base / given).is_file()), given)

    def _given_particles(self) -> "ParticleTable":
        from .io.tables import read_table

        return read_table(self.given_file, self.config.root)


def differing_settings(base: RunConfig, config: RunConfig) -> dict[str, Any]:
    """The settings of `config` that are not as in `base`, dotted names to values."""
    before = _flat(base)
    return {name: value for name, value in _flat(config).items() if value != before[name]}


def explain(error: BaseException) -> str:
    """One sentence for a person: the message of our own errors and of a full disk, else what kind of bug it was."""
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        where = f" while writing {error.filename}" if error.filename else ""
        return f"The disk is full{where}; free some space and resume the run."
    if isinstance(error, MemoryError):
        return "There was not enough memory; lower data.box or data.cache_mb, or use fewer particles."
    return f"Unexpected error, a bug: {type(error).__name__}: {error}. The traceback is in run.log."


def _read_json(file: Path, folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise DataError(f"There is no run folder {folder}.")
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} is not a run folder: it has no {file.name}.") from None
    except (OSError, ValueError):
        raise DataError(f"{folder} is not a run folder: its {file.name} cannot be read.") from None
    if not isinstance(content, dict):
        raise DataError(f"{folder} is not a run folder: its {file.name} cannot be read.")
    return content


def _flat(config: RunConfig) -> dict[str, Any]:
    """Dotted setting names to values."""
    flat: dict[str, Any] = {}
    for name, value in dataclasses.asdict(config).items():
        flat.update({f"{name}.{leaf}": v for leaf, v in value.items()} if isinstance(value, dict) else {name: value})
    return flat


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(seconds))
