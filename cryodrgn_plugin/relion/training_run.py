"""Where the engine's run folder of a job lies, and how a job that looks at a run borrows it from an earlier one.

A RELION job writes only into its own folder. The training job keeps its run in `run/`; an analysis job makes its own
`run/` of links to what training left and adds its analysis there, so two analyses of one training do not disturb each
other.
"""

import os
from pathlib import Path

from ..engine.errors import DataError
from .arguments import JobArguments

RUN_FOLDER = "run"
_FILLED_ANEW = ("figures", "volumes", "trajectories", "validating", "selections")
_REWRITTEN = ("run.json", "run.log")


def run_folder(job: Path) -> Path:
    """The engine's run folder inside a job folder."""
    return job / RUN_FOLDER


def has_progress(run: Path) -> bool:
    """Whether there is something to go on from: a checkpoint or a finished model."""
    return (run / "model.pt").exists() or any((run / "checkpoints").glob("*.pt"))


def training_job(arguments: JobArguments) -> Path:
    """The training job that an analysis job works on: the one named, or the one that made its input particles.

    Raises DataError when that job has no run.
    """
    job = Path(arguments.run) if arguments.run else Path(arguments.particles).parent
    _check_has_run(job, "choose particles that a training job made, or name the job with the label run.")
    return job


def other_runs(arguments: JobArguments) -> list[Path]:
    """The runs of the jobs to compare with. Raises DataError when one of them has none."""
    jobs = [Path(job) for job in arguments.also.split()]
    for job in jobs:
        _check_has_run(job, "correct the label also.")
    return [run_folder(job) for job in jobs]


def _check_has_run(job: Path, what_to_do: str) -> None:
    if not (run_folder(job) / "run.json").exists():
        raise DataError(f"{job}/ is not a training job of this plugin (it has no {RUN_FOLDER}/run.json); {what_to_do}")


def borrow_run(source: Path, target: Path, makes: str = "analysis") -> None:
    """Make `target` a run folder that shares the results of `source` by relative links.

    Files that a later look at the run rewrites are copied once, and folders that it fills are left out, as is `makes`,
    the folder that it is to make anew.
    """
    target.mkdir(parents=True, exist_ok=True)
    for item in source.iterdir():
        place = target / item.name
        if item.name in (makes, *_FILLED_ANEW) or item.name.startswith("."):
            continue
        if item.name in _REWRITTEN:
            place.write_bytes(item.read_bytes())
        else:
            place.unlink(missing_ok=True)
            place.symlink_to(os.path.relpath(item.resolve(), target.resolve()))
