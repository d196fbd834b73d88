"""Fields of the pipeliner's forms, made from the settings that RELION's labels are made from.

A field has the name of its setting with underscores for dots (training_epochs), and its label is that name as it is
given everywhere. A setting in which the recipes of a form differ is empty there, which means "what the recipe says".
"""

from collections.abc import Iterator

from pipeliner.job_options import (
    BooleanJobOption,
    FloatJobOption,
    IntJobOption,
    JobOption,
    MultipleChoiceJobOption,
    StringJobOption,
)

from ..engine.config import RECIPES, Setting, explained, finds_poses, recipe_values, setting
from ..engine.options import SECTIONS, as_words
from ..relion.arguments import JobArguments, job_labels
from ..relion.tasks import TASKS, option_labels

RECIPE_CHOICE = "recipe's choice"
MAIN = "Main"
_ELSEWHERE = ("task", "relion_version")
"""Job labels that the pipeliner's job gives itself."""
_FIRST = ("recipe", "z_dim")
"""Settings that stand beside the particles."""
_FORMS = {int: IntJobOption, float: FloatJobOption}


def field_name(label: str) -> str:
    """What the field of a label is called."""
    return label.replace(".", "_")


def fields_of(task: str) -> dict[str, JobOption]:
    """Label to field of everything that can be asked of a task: first what is its own, then the engine's settings."""
    first = {name: _job_field(name, text) for name, text in job_labels(task).items() if name not in _ELSEWHERE}
    analysis = f"{TASKS['analyze'].title} afterwards" if TASKS[task].trains else MAIN
    own = {name: _field(item, item.default, analysis) for name, item in option_labels(task).items()}
    return {**first, **own, **{name: _setting_field(setting(name), task) for name in TASKS[task].settings}}


def words_of(fields: dict[str, JobOption]) -> Iterator[str]:
    """The arguments that say what was filled in: fields with their default need none."""
    for label, option in fields.items():
        if option.value != option.default_value and not option.is_blank:
            yield from as_words(label, _word(option))


def _word(option: JobOption) -> str:
    if isinstance(option, BooleanJobOption):
        return "yes" if option.value else "no"
    return str(option.value)


def _job_field(name: str, text: str) -> JobOption:
    """The field of a label that is the job's own."""
    default = getattr(JobArguments, name)
    if isinstance(default, bool):
        return BooleanJobOption(label=name, default_value=default, help_text=text, in_continue=True)
    return StringJobOption(label=name, default_value=default, help_text=text, in_continue=True)


def _setting_field(item: Setting, task: str) -> JobOption:
    """The field of one of the engine's settings. A job that is continued cannot change it."""
    section = item.name.rpartition(".")[0]
    group = MAIN if item.name in _FIRST else SECTIONS[section].partition(" (")[0].capitalize()
    menu = _recipes_of(task)
    if item.name == "recipe":
        about = {"label": item.name, "help_text": explained(item), "jobop_group": group}
        return MultipleChoiceJobOption(choices=list(menu), default_value=menu[0], **about)
    values = list(recipe_values(item, menu).values())
    by_recipe = any(value != values[0] for value in values)
    return _field(item, None if by_recipe else values[0], group, in_continue=False)


def _recipes_of(task: str) -> tuple[str, ...]:
    """The recipes that a task can follow, its usual one first."""
    if not TASKS[task].trains:
        return ("homogeneous",)
    names = [name for name in RECIPES if finds_poses(name) == (task == "abinitio")]
    return tuple(sorted(names, key=lambda name: name != task))


def _field(item: Setting, default: object, group: str, in_continue: bool = True) -> JobOption:
    """The field of a setting. `default` None leaves it to the recipe."""
    shared = {"label": item.name, "help_text": explained(item), "jobop_group": group, "in_continue": in_continue}
    choices = item.choices or (("yes", "no") if item.kind is bool else ())
    if choices and default is None:
        return MultipleChoiceJobOption(choices=[RECIPE_CHOICE, *choices], default_value=RECIPE_CHOICE, **shared)
    if item.choices:
        return MultipleChoiceJobOption(choices=list(item.choices), default_value=default, **shared)
    if item.kind is bool:
        return BooleanJobOption(default_value=default, **shared)
    if item.kind in _FORMS:
        return _FORMS[item.kind](default_value=default, **shared)
    return StringJobOption(default_value=default or "", **shared)
