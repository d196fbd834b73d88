"""What the External job can be asked to do, and which options each task has. Imports nothing heavy."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..engine.config import Setting, setting_names, settings_of
from ..engine.options import (
    RECONSTRUCT_SETTINGS,
    AgreementOptions,
    AnalysisOptions,
    AtomsOptions,
    ExportOptions,
    ImportOptions,
    LandscapeOptions,
    PreflightOptions,
    ReconstructOptions,
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
    does: str
    """What it does, in a sentence."""
    options: type
    """The dataclass whose fields are labels."""
    trains: bool = False
    settings: tuple[str, ...] = ()
    """The engine's settings that are labels, too."""
    gives_particles: bool = True
    """Whether there is a particles.star in the end."""
    makes: str = ""
    """The kind of results that it makes of an earlier job's run; empty where it makes none."""
    out: str = ""
    """Folder of the job for what it makes of an earlier job's run beside that; empty where it makes nothing there."""
    fixed: Mapping[str, str] = field(default_factory=dict)
    """Options that the job sets itself."""
    resumes: bool = False
    """Whether what a stopped job has done is gone on with."""
    others: str = ""
    """The option before the runs of other jobs, which it compares with; empty where they follow its own run."""

    @property
    def looks(self) -> bool:
        """Whether it works on the run of an earlier job."""
        return bool(self.makes or self.out)


_OF_TRAINING = tuple(name for name in setting_names() if name != "particles")
"""The particles come from the host."""
TASKS = {
    "train": Task(
        "Training",
        "Find how particles with poses differ: latent coordinates, clusters or states, and a map of each.",
        AnalysisOptions,
        trains=True,
        settings=_OF_TRAINING,
    ),
    "abinitio": Task(
        "Search for poses",
        "Find poses and maps of particles without any, of several kinds of molecule too, and then how they differ.",
        AnalysisOptions,
        trains=True,
        settings=_OF_TRAINING,
    ),
    "analyze": Task(
        "Analysis",
        "Cluster the particles of a training again and make maps, without training again.",
        AnalysisOptions,
        makes="analysis",
    ),
    "preflight": Task(
        "Preflight",
        "Say in a minute whether images, contrast, CTF, poses and pixel size are what the star file says.",
        PreflightOptions,
        gives_particles=False,
    ),
    "reconstruct": Task(
        "Reconstruction",
        "Make one map of particles with poses, its half-maps, and its resolution over all and by direction.",
        ReconstructOptions,
        settings=tuple(name for name in RECONSTRUCT_SETTINGS if name in _OF_TRAINING),
        gives_particles=False,
    ),
    "landscape": Task(
        "Landscape",
        "Cluster the particles of a training by their volumes instead of their latent coordinates.",
        LandscapeOptions,
        makes="landscape",
    ),
    "trajectory": Task(
        "Trajectory",
        "Make maps along a path through the latent space of a training.",
        TrajectoryOptions,
        makes="trajectory",
        fixed={"name": "path"},
        gives_particles=False,
    ),
    "states": Task(
        "States",
        "Make maps of states of a training and say how far each can be trusted.",
        StatesOptions,
        makes="states",
        gives_particles=False,
    ),
    "atoms": Task(
        "Atomic model",
        "Lay an atomic model into the maps of a training: rigid parts, how they move, how much of each is there.",
        AtomsOptions,
        makes="atoms",
    ),
    "validate": Task(
        "Validation",
        "Train twice more, on halves of the particles, and say whether what a training shows is real.",
        ValidateOptions,
        makes="validation",
        resumes=True,
        others="--also",
    ),
    "agreement": Task(
        "Agreement",
        "Say which species several searches agree on, and give the particles of each with the poses of one of them.",
        AgreementOptions,
        makes="agreement",
    ),
    "select": Task(
        "Selection",
        "Choose particles of a training by cluster, rule, likelihood or chance, with the columns that they came with.",
        SelectOptions,
        makes="selection",
    ),
    "subtract": Task(
        "Subtraction",
        "Take off each image what the map at its own latent coordinates shows outside of a mask.",
        SubtractOptions,
        out="subtracted",
    ),
    "import": Task(
        "Import",
        "Take up a training of cryoDRGN, or latents that any program has found of the particles, as if trained here.",
        ImportOptions,
    ),
    "export": Task(
        "Export",
        "Write the particles of a training for cryoSPARC or cryoDRGN, with their latents, poses and classes.",
        ExportOptions,
        makes="export",
        gives_particles=False,
    ),
}
NOT_LABELS = {
    "preflight": ("root",),
    "landscape": ("match",),
    "trajectory": ("name",),
    "select": ("name", "same_order"),
    "import": ("particles", "root"),
}
"""Options that RELION's job sets itself or that mean nothing there."""


def option_labels(task: str) -> dict[str, Setting]:
    """Label to setting of the options of a task, in order."""
    left_out = NOT_LABELS.get(task, ())
    return {name: setting for name, setting in settings_of(TASKS[task].options).items() if name not in left_out}


def takes_mask(task: str) -> bool:
    """Whether the task has a use for a mask among its inputs: it is its option of that name."""
    return "mask" in option_labels(task)


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
