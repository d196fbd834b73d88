"""The command line that RELION builds for an External job, and our settings on it.

RELION 3.1, 4 and 5 call `<executable> --o External/job002/ [--in_parts F] [--in_3dref F] [--in_mask F]
[--<label> <value>]... --j <threads> <other arguments>` from the project folder. A parameter whose value was left empty
arrives as a bare flag and means "the default". RELION quotes nothing, so a value with spaces arrives in pieces and is
joined again; capitals count as small letters, for CCP-EM's pipeliner writes --in_3Dref. Labels are the engine's setting
names (recipe, z_dim, training.epochs), the option names of the task (clusters, umap) or one of `JOB_LABELS`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..engine.config import build, converted, nearest_names, recipe_config, same_name
from ..engine.errors import ConfigError
from .tasks import TASKS, either, looking_tasks, option_labels, takes_mask, tasks_with

JOB_LABELS = {
    "task": f"{either(list(TASKS))}; the same as the word after the executable.",
    "homogeneous": "abinitio only: yes looks for rigid molecules, without a latent space (default no).",
    "species": "abinitio only: kinds of molecule told apart, a number or auto (default 1).",
    "analysis": "no leaves out clusters and maps after training; run analyze later (default yes).",
    "run": f"{either(looking_tasks())}: the earlier job, e.g. External/job002/; empty takes the job that made the "
    "input particles.",
    "training": "import only: the folder of a cryoDRGN training of the input particles; empty takes their latents from "
    "the file that the label latents names.",
    "also": "validate and agreement only: other jobs on the same particles to compare with, e.g. External/job004/.",
    "relion_version": "3.1, 4 or 5; auto reads it from default_pipeline.star, or else from job.star (default auto).",
}
_TRAINING = tuple(name for name, task in TASKS.items() if task.trains)
_LABELS_OF = {
    "homogeneous": ("abinitio",),
    "species": ("abinitio",),
    "analysis": _TRAINING,
    "run": tuple(looking_tasks()),
    "also": ("validate", "agreement"),
    "training": ("import",),
}
"""Job labels that only some tasks have."""
_INPUTS = {"in_parts": "particles", "in_3dref": "reference", "in_mask": "mask"}
_UNUSED_INPUTS = {"in_movies": "movies", "in_mics": "micrographs", "in_coords": "coordinates"}
_COMPARISONS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "eq": "==", "ne": "!="}
"""Comparisons in words."""


@dataclass(frozen=True, kw_only=True)
class JobArguments:
    """What one External job was asked to do. Paths are relative to the project, as RELION gives them."""

    task: str = "train"
    job: Path
    particles: str = ""
    reference: str = ""
    mask: str = ""
    threads: int = 1
    relion_version: str = "auto"
    analysis: bool = True
    run: str = ""
    also: str = ""
    """Further jobs, parted by spaces."""
    training: str = ""
    """Folder of a cryoDRGN training."""
    homogeneous: bool = False
    species: str = ""
    """A number of species, or auto; empty is one."""
    options: dict[str, Any] = field(default_factory=dict)
    """The options of the task that were given, checked."""
    settings: dict[str, str] = field(default_factory=dict)
    """Engine settings by dotted name, checked against the recipe; the recipe is among them."""


def parse_arguments(argv: list[str]) -> JobArguments:
    """Read RELION's command line (without the executable).

    Raises ConfigError, in one sentence, for an unknown label, a bad value, or a missing output folder or particles.
    """
    words, values = _split(argv)
    labels = {name: value for name, value in values.items() if value}
    if not labels.get("o"):
        raise ConfigError("There is no --o with the job folder; this command is meant to be started by RELION.")
    for name, what in _UNUSED_INPUTS.items():
        if name in labels:
            raise ConfigError(f"Input {what} were given, but this job works on particles; leave that field empty.")
    inputs = {field_name: labels.get(name, "") for name, field_name in _INPUTS.items()}
    if not inputs["particles"]:
        raise ConfigError("No particles were given; fill in 'Input particles' on the Input tab.")
    task = _task(words, labels.get("task", ""))
    _refuse_others(labels, task)
    _require_source(labels, task)
    settings = {name: labels[name] for name in labels if name in TASKS[task].settings}
    check_settings(task, settings)
    return JobArguments(
        task=task,
        job=Path(labels["o"]),
        **inputs,
        threads=_whole(labels.get("j", "1"), "The number of threads (--j)"),
        relion_version=labels.get("relion_version", "auto"),
        analysis=converted(labels.get("analysis", "yes"), bool, "analysis"),
        run=labels.get("run", ""),
        also=labels.get("also", ""),
        training=labels.get("training", ""),
        homogeneous=converted(labels.get("homogeneous", "no"), bool, "homogeneous"),
        species=labels.get("species", ""),
        options=_options(labels, task),
        settings=settings,
    )


def _require_source(labels: dict[str, str], task: str) -> None:
    """Raise ConfigError where there is nothing to import, or two things."""
    if task != "import":
        return
    # A .cs file has components of its own.
    if not (labels.get("training") or labels.get("latents") or labels["in_parts"].endswith(".cs")):
        raise ConfigError(
            "There is nothing to import: name the folder of a cryoDRGN training with the label training, or a file of "
            "latents with the label latents."
        )
    if labels.get("training") and labels.get("latents"):
        raise ConfigError("A training has latents of its own; remove the label latents, or the label training.")


def check_settings(task: str, settings: dict[str, str]) -> None:
    """Raise ConfigError, in one sentence, for settings of the engine that the task cannot do with."""
    usual = "abinitio" if task == "abinitio" else "fast"
    recipe_config(settings.get("recipe", usual), {name: word for name, word in settings.items() if name != "recipe"})


def job_labels(task: str) -> dict[str, str]:
    """The job labels that mean something to a task, with their explanations."""
    return {name: text for name, text in JOB_LABELS.items() if task in _LABELS_OF.get(name, TASKS)}


def _split(argv: list[str]) -> tuple[list[str], dict[str, str]]:
    """(words before the first flag, value of each flag by its label); a bare flag has an empty value."""
    words: list[str] = []
    values: dict[str, list[str]] = {}
    current = words
    for token in argv:
        if token.startswith("--") and len(token) > 2:
            name, _, attached = token[2:].partition("=")
            current = values[_label(name)] = [attached] if attached else []
        else:
            current.append(token)
    return words, {name: " ".join(parts) for name, parts in values.items()}


def _label(name: str) -> str:
    """A label as we know it: in small letters, hyphens being underscores.

    Raises ConfigError with the nearest few labels for an unknown one.
    """
    label = same_name(name).lower()
    labels = [*setting_labels(), *(name for task in TASKS for name in option_labels(task)), *JOB_LABELS]
    if label in (*labels, *_INPUTS, *_UNUSED_INPUTS, "o", "j", "pipeline_control"):
        return label
    near = either(nearest_names(label[:100], labels))
    raise ConfigError(f"There is no setting {name[:100]!r}; did you mean {near}?")


def setting_labels() -> list[str]:
    """Engine settings that may be given as labels."""
    return list(TASKS["train"].settings)


def _options(labels: dict[str, str], task: str) -> dict[str, Any]:
    """The options of the task among the labels, by type and checked."""
    source = TASKS[task].options
    words = {name: labels[name] for name in option_labels(task) if name in labels}
    if "where" in words:
        words["where"] = _in_symbols(words["where"])
    if labels.get("in_mask") and takes_mask(task):
        if "mask" in words:
            raise ConfigError("There is a mask on the Input tab and another as the label mask; remove one of them.")
        words["mask"] = labels["in_mask"]
    options = build(source, words)
    return {name: getattr(options, name) for name in words}


def _in_symbols(rule: str) -> str:
    """A rule with its comparisons as symbols: RELION's command goes through a shell, where > would name a file."""
    return " ".join(_COMPARISONS.get(word, word) for word in rule.split())


def _refuse_others(labels: dict[str, str], task: str) -> None:
    """Raise ConfigError for a label that means something to another task only."""
    own = {*option_labels(task), *TASKS[task].settings, *job_labels(task)}
    for name in [label for label in labels if label not in own]:
        if name in setting_labels() and name not in JOB_LABELS:
            raise ConfigError(f"{name} is a setting of training; the task {task} cannot change it: remove that label.")
        if others := _LABELS_OF.get(name) or tasks_with(name):
            others = either(list(others))
            raise ConfigError(f"{name} is a label of the task {others}, but the task is {task}; remove that label.")


def _task(words: list[str], label: str) -> str:
    wanted = label or " ".join(words) or "train"
    if wanted not in TASKS or (words and label and words != [label]):
        raise ConfigError(f"The task is {' '.join([*words, label]).strip()[:100]!r}; choose {either(list(TASKS))}.")
    return wanted


def _whole(text: str, name: str) -> int:
    # isdecimal, for isdigit takes ² and its like for numbers, which int does not.
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise ConfigError(f"{name} is {text[:50]!r}; it must be a whole number of at least 1.")
    return int(text)
