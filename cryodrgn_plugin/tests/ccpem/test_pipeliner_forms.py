"""The forms of CCP-EM's pipeliner: every label of RELION's External job is a field, and says the same."""

import dataclasses
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

pytest.importorskip("pipeliner")

from pipeliner.job_factory import get_job_types, new_job_of_type

from cryodrgn_plugin.ccpem.pipeliner_fields import RECIPE_CHOICE, field_name
from cryodrgn_plugin.ccpem.pipeliner_jobs import JOBS, PREFIX
from cryodrgn_plugin.engine.config import converted, recipe_config, setting
from cryodrgn_plugin.engine.errors import EngineError
from cryodrgn_plugin.relion.arguments import job_labels, parse_arguments
from cryodrgn_plugin.relion.tasks import TASKS, option_labels

CHECKOUT = Path(__file__).resolve().parents[3]


def job_of(task: str):
    return new_job_of_type(f"{PREFIX}.{task}")


def test_the_pipeliner_finds_a_job_for_each_task():
    """By the entry points of the installed package, which are those that pyproject.toml names."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    named = project["entry-points"]["ccpem_pipeliner.jobs"]
    assert named == {f"{PREFIX}.{task}": f"cryodrgn_plugin.ccpem.pipeliner_jobs:JOBS.{task}" for task in TASKS}
    found = {job.PROCESS_NAME: type(job) for job in get_job_types(f"{PREFIX}.")}
    assert found == {f"{PREFIX}.{task}": getattr(JOBS, task) for task in TASKS}


def test_listing_the_jobs_imports_no_engine_mathematics():
    code = """
import sys
import pipeliner.display_tools
from pipeliner.job_factory import get_job_types
before = set(sys.modules)
assert get_job_types("cryodrgn_plugin.")
heavy = {"torch", "numba", "sklearn", "umap"} & (set(sys.modules) - before)
assert not heavy, heavy
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=CHECKOUT)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("task", TASKS)
def test_everything_that_can_be_asked_of_a_task_is_a_field(task):
    fields = set(job_of(task).joboptions)
    labels = {*option_labels(task), *TASKS[task].settings, *job_labels(task)} - {"task", "relion_version"}
    assert {field_name(label) for label in labels} <= fields
    inputs = {"in_parts", "nr_threads", "other_args"} | ({"in_mask"} if "mask" in labels else set())
    queue = {"do_queue", "queuename", "qsub", "qsubscript", "min_dedicated"}
    assert fields - {field_name(label) for label in labels} == inputs | queue
    texts = [option.label for option in job_of(task).joboptions.values()]
    assert len(texts) == len(set(texts)), "two fields of a form have one label"


@pytest.mark.parametrize("task", TASKS)
def test_an_untouched_form_asks_for_nothing_but_the_task(task):
    job = job_of(task)
    job.output_dir = "Heterogeneity/job002/"
    job.joboptions["in_parts"].value = "Import/job001/particles.star"
    job.joboptions["nr_threads"].value = 2
    (command,) = job.get_commands()
    words = ["--o", "Heterogeneity/job002/", "--in_parts", "Import/job001/particles.star"]
    assert command.cmd == ["cryodrgn-plugin-relion", task, *words, "--j", "2"]


NEEDED = {"select": {"junk": True}, "trajectory": {"kind": "pc"}, "subtract": {"mask": "0,0,0,30"}}
NEEDED["import"] = {"training": "004_vae"}
"""What a task cannot do without, beside particles."""


def filled(task: str, **values: object):
    """The form of a task, with these fields filled in."""
    job = job_of(task)
    for name, value in {"in_parts": "p.star", **NEEDED.get(task, {}), **values}.items():
        job.joboptions[name].value = value
    return job


def other_values(option) -> list:
    """Values that a field does not have when it is untouched, of which one should be possible."""
    if hasattr(option, "choices"):
        return [word for word in option.choices if word not in (option.default_value, RECIPE_CHOICE)]
    kinds = {"BOOLEAN": [not option.default_value], "INT": [1, 2, 32, 500], "FLOAT": [0.5, 3.0]}
    return [value for value in kinds.get(option.joboption_type, ["-1,2,0,20"]) if value != option.default_value]


@pytest.mark.parametrize("task", TASKS)
def test_every_field_arrives_at_the_job_as_it_was_filled_in(task):
    """Compared with what RELION's job makes of the command. Some values need others beside them and are not tried."""
    job, tried = job_of(task), 0
    labels = [*option_labels(task), *TASKS[task].settings]
    for label in dict.fromkeys(labels):
        for value in other_values(job.joboptions[field_name(label)]):
            try:
                given = parse_arguments(list(filled(task, **{field_name(label): value}).get_commands()[0].cmd[1:]))
            except EngineError:
                continue
            kept = given.options[label] if label in option_labels(task) else converted_setting(label, given)
            assert kept == (value == "yes" if isinstance(kept, bool) and isinstance(value, str) else value), label
            tried += 1
            break
    assert tried >= 0.8 * len(labels), f"{tried} of {len(labels)}"


def converted_setting(label: str, given) -> object:
    return converted(given.settings[label], setting(label).kind, label)


def test_a_rule_that_begins_with_a_minus_or_has_blanks_arrives_whole():
    job = filled("select", where="-z1 gt 0 and coordinate lt 0.5", clusters="1,3")
    given = parse_arguments(list(job.get_commands()[0].cmd[1:]))
    assert given.options == {"where": "-z1 > 0 and coordinate < 0.5", "clusters": "1,3", "junk": True}


def test_an_empty_field_is_the_recipes_choice_and_one_that_is_given_is_not():
    job = filled("train", recipe="cryodrgn", training_epochs=3)
    assert job.joboptions["training_batch_size"].is_blank
    given = parse_arguments(list(job.get_commands()[0].cmd[1:]))
    config = recipe_config("cryodrgn", {name: word for name, word in given.settings.items() if name != "recipe"})
    assert config.training == dataclasses.replace(recipe_config("cryodrgn").training, epochs=3)


@pytest.mark.parametrize(
    ("task", "values", "sentence", "field"),
    [
        ("train", {"z_dim": -3}, "z_dim is -3; it must be 0 or more", "z_dim"),
        ("validate", {"permutations": 20}, "cannot show a significance", "permutations"),
        ("import", {"training": "", "latents": ""}, "There is nothing to import", "in_parts"),
        ("select", {"junk": False}, "Say which particles to select", "in_parts"),
        ("states", {"other_args": "--z_dim 3"}, "z_dim is a setting of training", "in_parts"),
    ],
)
def test_what_the_job_would_refuse_is_said_in_the_form(task, values, sentence, field):
    job = filled(task, **values)
    (error,) = job.additional_joboption_validation()
    assert sentence in error.message
    assert job.joboptions[field] in error.raised_by or field == "in_parts"
    assert not filled(task).additional_joboption_validation()
