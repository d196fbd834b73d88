"""Where the engine's run folder of a job lies, and how a job that looks at a run borrows it from an earlier one.

A RELION job writes only into its own folder. The training job keeps its run in `run/`; an analysis job makes its own
`run/` of links to what training left and adds its analysis there, so two analyses of one training do not disturb each
other.
"""

from pathlib import Path

from ..engine.errors import DataError
from ..engine.run_layout import RunLayout
from .arguments import JobArguments

RUN_FOLDER = "run"


def run_folder(job: Path) -> Path:
    """The engine's run folder inside a job folder."""
    return job / RUN_FOLDER


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
    info = RunLayout(run_folder(job)).info_file
    if not info.exists():
        lacks = info.relative_to(job)
        raise DataError(f"{job}/ is not a training job of this plugin (it has no {lacks}); {what_to_do}")
