"""The run folder: the only code that knows its file names and its schema. docs/run_folder.md describes every file.

A run is what the trainer leaves and what analysis, viewers and hosts read. Nothing in it needs unpickling, every file
is written atomically, and `run.json` always says what became of the run and why.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .borrowing import borrow
from .config import DataConfig, RunConfig, build, differing_settings, flat_settings
from .errors import DataError
from .io.arrays import read_arrays
from .io.reading import read_object, understood
from .io.writing import remove_leftovers, replacing, standing, write_text
from .latents import OF_PARTICLES, Latents, latents_from
from .provenance import provenance
from .report_writer import Report, report_at
from .result_kinds import KINDS
from .results import Results
from .run_layout import RunLayout
from .run_lock import is_busy, lock, refuse_busy
from .run_origin import ADVICE, MOVED, given_file, settled
from .run_status import TRAIN, RunStatus, read_json

if TYPE_CHECKING:
    from .io.particles import ParticleTable

SCHEMA = 1
"""Version of the folder's layout; raised when a reader of the old layout would misread the new one."""

MAY_CHANGE_ON_RESUME = (
    *("device", "backend", "root", "atoms.model", "data.cache_mb", "data.store", "closed_form.equations_mb"),
    *("training.epochs", "training.checkpoint_every", "training.early_stop"),
)
"""Settings that a resumed run may change: they decide how long and where it computes, not what. The model may lie
elsewhere; that it is the same is checked when it is read."""


class Run(RunStatus):
    """One run folder. Use `Run.create` or `Run.open`."""

    def __init__(self, path: Path, config: RunConfig) -> None:
        super().__init__(path)
        self.config = config

    # --- creating and opening -------------------------------------------------------------------------------------

    @classmethod
    def create(
        cls, path: str | Path, config: RunConfig, *, resume: bool = False, overwrite: bool = False, command: str = ""
    ) -> "Run":
        """Make the folder of a new run, or take up the one that is there.

        `resume` continues an existing run with `config`, which may differ only in `MAY_CHANGE_ON_RESUME`; where there
        is no run yet it starts one. `overwrite` removes an existing run first. `command` is kept as provenance.

        A run that ended before it had read its particles gives way. Raises DataError when a run is there and neither is
        given, when it was made with other settings, or when another process is at work on it.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise DataError(f"{path} is a file; give a folder for the run.")
        with lock(path, TRAIN):
            return cls._created(path, config, resume, overwrite, command)

    @classmethod
    def _created(cls, path: Path, config: RunConfig, resume: bool, overwrite: bool, command: str) -> "Run":
        run = cls(path, config)
        there = run.info_file.exists()
        was_being_removed = there and not run.config_file.exists() and not run.has_progress()
        if not there and run.has_progress() and not overwrite:
            raise DataError(
                f"{path} holds checkpoints or a model without run.json; overwrite it, or choose another folder."
            )
        if there and not overwrite and not was_being_removed and (resume or not _never_began(run)):
            if not resume:
                raise DataError(f"{path} already holds a run; resume it, overwrite it, or choose another folder.")
            return cls._take_up(path, config)
        if there or run.has_progress():
            refuse_busy(path)
            run.remove_contents()
            remove_leftovers(path)
        write_text(run.config_file, config.to_json() + "\n")
        run._write_info(
            {"schema": SCHEMA, "status": "created", "message": "", "provenance": provenance(config, command)}
        )
        return run

    @classmethod
    def open(cls, path: str | Path, particles_at: str | Path = "") -> "Run":
        """Open an existing run. `particles_at` is where its particles are, if they were moved after training: their
        file, or the folder that it or its stacks lie in; the run remembers it.

        Raises DataError when `path` is not a run folder, was written by a newer version, or nothing lies there.
        """
        path = Path(path)
        layout = RunLayout(path)
        info = read_json(layout.info_file, path)
        schema = info.get("schema")
        if schema is None:
            raise DataError(f"{path} is not a run folder: its run.json names no schema.")
        if schema > SCHEMA:
            raise DataError(
                f"{path} was written by a newer version (run schema {schema}, this one reads up to {SCHEMA}); update."
            )
        incomplete = f"{path} is not a complete run folder: its config.json cannot be read."
        with understood(incomplete):
            config = build(RunConfig, read_object(layout.config_file, incomplete))
        if not particles_at:
            return cls(path, settled(path, config))
        from .relocation import moved, noted

        run = cls(path, moved(path, config, Path(particles_at).absolute()))
        run.note(**{MOVED: noted(run.config)})
        return run

    @staticmethod
    def borrow(source: str | Path, folder: str | Path, makes: str) -> None:
        """Make `folder` a run of links to the run `source`, for the kind of results `makes`; see `borrowing.borrow`."""
        borrow(source, folder, makes)

    @classmethod
    def _take_up(cls, path: Path, config: RunConfig) -> "Run":
        run = cls.open(path)
        if not is_busy(path):
            remove_leftovers(path)
        changed = [name for name in differing_settings(run.config, config) if name not in MAY_CHANGE_ON_RESUME]
        if changed:
            name = changed[0]
            before, now = (flat_settings(either)[name] for either in (run.config, config))
            raise DataError(
                f"{path} was made with {name} = {before!r}, not {now!r}; "
                "resume with the same settings, or start a new run."
            )
        if config != run.config:
            run.config = config
            write_text(run.config_file, config.to_json() + "\n")
            run._record("train", "stopped", "Settings were changed; the run goes on from its last checkpoint.", {})
        return run

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
        with (
            understood(f"{self.metrics_file} is damaged; remove it, and the training goes on without."),
            open(self.metrics_file, newline="", encoding="utf-8") as file,
        ):
            rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
            return [{**row, "epoch": int(row["epoch"])} for row in rows]

    def save_latents(
        self,
        z: np.ndarray,
        *,
        rows: np.ndarray | None = None,
        epochs: tuple[int, int] | None = None,
        steps: tuple[int, int] | None = None,
        columns: Sequence[str] | None = None,
        **known: np.ndarray | None,
    ) -> None:
        """Write latents.npz; see `Latents` for what may be known, names and shapes. `rows` must be given when not every
        star row was used, `epochs` or `steps` when the training has not finished, `columns` of several regions."""
        arrays = {
            "z": np.asarray(z, np.float32),
            "rows": np.arange(len(z)) if rows is None else np.asarray(rows, np.int64),
        }
        arrays |= {name: np.asarray(values, OF_PARTICLES[name]) for name, values in known.items() if values is not None}
        for name, values in arrays.items():
            assert len(values) == len(z), f"{name} has {len(values)} entries for {len(z)} particles"
        whole = {"epochs": epochs, "steps": steps, "columns": columns}
        arrays |= {name: np.asarray(value) for name, value in whole.items() if value is not None}
        with replacing(self.latents_file) as temporary:
            np.savez(temporary, **arrays)

    def latents(self) -> Latents:
        """Read latents.npz. Raises DataError when the run has none yet."""
        if not self.latents_file.exists():
            reason = f" ({self.status}{': ' + self.message if self.message else ''})"
            raise DataError(f"{self.path} has no latents.npz: the training has not finished{reason}.")
        return latents_from(read_arrays(self.latents_file, "z", "rows"), self.latents_file)

    # --- results --------------------------------------------------------------------------------------------------

    @contextmanager
    def report(self, kind: str, options: Any, name: str = "") -> Iterator[Report]:
        """Results of a kind while they are being made, under `name` where a run may hold several; see `Report`.

        They take the place of those before when the block succeeds, and run.log says where they are.
        """
        with report_at(self.results_dir(kind, name), kind, options) as out:
            yield out
        for sentence in (*out.sentences, out.conclusion):
            self.log(sentence)

    def results(self, kind: str, name: str = "") -> Results:
        """The results of a kind, those called `name` where there may be several.

        Raises DataError, which says what to run, when there are none; see `Results.open`.
        """
        called = f" named {name}" if name else ""
        first = f"{self.path} has no {kind}{called}; run {KINDS[kind].command} on it first."
        return Results.open(self.results_dir(kind, name), kind, first)

    def per_particle(self, kind: str, rows: np.ndarray) -> dict[str, np.ndarray]:
        """The arrays of results of a kind, which must be of the particles at star rows (N,); none without results.

        Raises DataError when they are of other particles.
        """
        return self.results(kind).arrays_of(rows) if self.has_results(kind) else {}

    def has_results(self, kind: str, name: str = "") -> bool:
        """Whether there are results of a kind."""
        return (standing(self.results_dir(kind, name)) / KINDS[kind].index).is_file()

    # --- particles ------------------------------------------------------------------------------------------------

    def save_poses(
        self,
        rows: np.ndarray,
        rotations: np.ndarray,
        shifts_ang: np.ndarray,
        *,
        species: np.ndarray | None = None,
        score: np.ndarray | None = None,
        defocus_moved_ang: np.ndarray | None = None,
        probability: np.ndarray | None = None,
    ) -> None:
        """Write poses.star (`found_poses.posed_frame`) of the particles at `rows` (N,): `rotations` (N, 3, 3), volume
        to view, and `shifts_ang` (N, 2) of the feature, both physical. Those of tilt series are written beside it."""
        from .io.found_poses import posed_frame
        from .io.particle_lists import write_posed

        table = self.given_particles()
        known = (species, score, defocus_moved_ang, probability)
        frame = posed_frame(table, np.asarray(rows), rotations, shifts_ang, *known)
        for sentence in write_posed(self.poses_file, table, frame, self.posed_particles_file):
            self.log(sentence)

    def particles(self) -> "ParticleTable":
        """The particles the run was made from: all rows of its star file, with the poses that the run has found."""
        from .io.found_poses import put_back
        from .io.particles import read_particles

        particles = self.given_particles()
        return put_back(particles, read_particles(self.poses_file)) if self.poses_file.exists() else particles

    @property
    def data_settings(self) -> DataConfig:
        """How its images are read: as set, but for what training has found out about their CTF."""
        found = self.info.get("notes", {}).get("ctf_applied")
        return replace(self.config.data, ctf_applied=found) if found else self.config.data

    @property
    def given_file(self) -> Path:
        """The star file the run was made from."""
        return given_file(self.path, self.config)

    def given_particles(self) -> "ParticleTable":
        """All rows of the star file the run was made from. Raises DataError when it is not there any more."""
        from .io.tables import read_table
        from .source_check import require_source

        if not self.given_file.is_file():
            raise DataError(f"{self.config.particles}, which {self.path} was made from, is not there. {ADVICE}")
        table = read_table(self.given_file, self.config.root, self.config.data.passthrough)
        require_source(self, table)
        return table


def _never_began(run: Run) -> bool:
    """Whether a training failed before it had read its particles, as on a path that is not there."""
    from .source_check import SOURCE

    info = run.info
    return info.get("status") == "failed" and SOURCE not in info.get("notes", {}) and not run.has_progress()
