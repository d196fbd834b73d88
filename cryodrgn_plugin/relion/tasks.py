"""What the External job can be asked to do, and which options each task has. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..engine.config import Setting, settings_of
from ..engine.options import (
    AnalysisOptions,
    LandscapeOptions,
    PreflightOptions,
    SelectOptions,
    StatesOptions,
    SubtractOptions,
    TrajectoryOptions,
    ValidateOptions,
)


@dataclass(frozen=True)
class Task:
    """One task of the executable."""

    title: str
    """What the log calls it."""
    options: type
    """The dataclass whose fields are labels."""
    trains: bool = False
    """Whether the engine's settings are labels, too."""
    makes: str = ""
    """The kind of results that it makes of an earlier job's run; empty where it makes none."""
    out: str = ""
    """Folder of the job for what it makes of an earlier job's run beside that; empty where it makes nothing there."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Options that the job sets itself."""
    resumes: bool = False
    """Whether what a stopped job has done is gone on with."""

    @property
    def looks(self) -> bool:
        """Whether it works on the run of an earlier job."""
        return bool(self.makes or self.out)


TASKS = {
    "train": Task("Training", AnalysisOptions, trains=True),
    "abinitio": Task("Search for poses", AnalysisOptions, trains=True),
    "analyze": Task("Analysis", AnalysisOptions, makes="analysis"),
    "preflight": Task("Preflight", PreflightOptions),
    "landscape": Task("Landscape", LandscapeOptions, makes="landscape"),
    "trajectory": Task("Trajectory", TrajectoryOptions, makes="trajectory", fixed={"name": "path"}),
    "states": Task("States", StatesOptions, makes="states"),
    "validate": Task("Validation", ValidateOptions, makes="validation", resumes=True),
    "select": Task("Selection", SelectOptions, makes="selection"),
    "subtract": Task("Subtraction", SubtractOptions, out="subtracted"),
}
NOT_LABELS = {
    "preflight": ("root",),
    "landscape": ("match",),
    "trajectory": ("name",),
    "select": ("name", "same_order"),
}
"""Options that RELION's job sets itself or that mean nothing there."""


def option_labels(task: str) -> dict[str, Setting]:
    """Label to setting of the options of a task, in order."""
    left_out = NOT_LABELS.get(task, ())
    return {name: setting for name, setting in settings_of(TASKS[task].options).items() if name not in left_out}


def tasks_with(label: str) -> list[str]:
    """The tasks that have an option of this name."""
    return [task for task in TASKS if label in option_labels(task)]


def looking_tasks() -> list[str]:
    """The tasks that work on the run of an earlier job."""
    return [name for name, task in TASKS.items() if task.looks]


def either(words: list[str]) -> str:
    """`a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
