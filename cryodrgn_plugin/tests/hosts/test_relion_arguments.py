"""The command line RELION builds, the version of a project, the node file of each, the run an analysis borrows."""

import argparse
import importlib
import json
import re
from pathlib import Path

import pytest

from cryodrgn_plugin.engine.cli import abinitio_command, import_command, select_command, train_command
from cryodrgn_plugin.engine.cli.option_flags import as_flags, chosen_options
from cryodrgn_plugin.engine.cli.setting_flags import given_settings
from cryodrgn_plugin.engine.config import recipe_config
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.options import ImportOptions
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.relion.arguments import parse_arguments
from cryodrgn_plugin.relion.job import (
    ab_initio_stages,
    import_stages,
    looking_stages,
    reconstruct_stages,
    train_stages,
)
from cryodrgn_plugin.relion.output_nodes import OutputNode, output_nodes_text
from cryodrgn_plugin.relion.tasks import TASKS, looking_tasks
from cryodrgn_plugin.relion.training_run import training_job
from cryodrgn_plugin.relion.version import relion_version

COMMAND = "--o External/job002/ --in_parts Import/job001/particles.star"


def parse(text: str):
    return parse_arguments(text.split())


# --- arguments ----------------------------------------------------------------------------------------------------


def test_the_command_that_relion_builds_is_understood():
    arguments = parse(
        f"train {COMMAND} --in_3dref ref.mrc --in_mask mask.mrc --recipe fast --z_dim 4 --training.epochs 5 --j 2 "
        "--clusters 3 --pipeline_control External/job002/"
    )
    assert (arguments.task, str(arguments.job), arguments.threads) == ("train", "External/job002", 2)
    assert arguments.particles == "Import/job001/particles.star"
    assert (arguments.reference, arguments.mask) == ("ref.mrc", "mask.mrc")
    assert arguments.settings == {"recipe": "fast", "z_dim": "4", "training.epochs": "5"}
    assert arguments.options == {"clusters": 3}


def test_labels_of_inputs_come_in_capitals_too():
    """CCP-EM's pipeliner writes --in_3Dref."""
    arguments = parse(f"{COMMAND} --in_3Dref ref.mrc --In_Mask mask.mrc --Z_dim 4")
    assert (arguments.reference, arguments.mask, arguments.settings) == ("ref.mrc", "mask.mrc", {"z_dim": "4"})


def test_a_bare_flag_keeps_the_default():
    arguments = parse(f"{COMMAND} --recipe --clusters --in_mask --pipeline-control --j 1")
    assert (arguments.settings, arguments.options, arguments.mask) == ({}, {}, "")


def test_a_path_with_a_space_survives_relions_lack_of_quotes():
    assert parse("--o External/job002/ --in_parts My data/particles.star --j 1").particles == "My data/particles.star"


def test_the_task_comes_from_the_executable_field_or_a_label():
    assert parse(f"analyze {COMMAND}").task == "analyze"
    assert parse(f"{COMMAND} --task analyze").task == "analyze"
    assert parse(f"analyze {COMMAND} --task analyze").task == "analyze"
    assert parse(COMMAND).task == "train"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (f"{COMMAND} --z_dims 4", "did you mean z_dim\\?"),
        (f"{COMMAND} --epochs 4", "did you mean training.epochs\\?"),
        (f"{COMMAND} --layers 4", "There is no setting 'layers'; did you mean decoder.layers or encoder.layers\\?$"),
        (f"{COMMAND} --xyzzy 4", "There is no setting 'xyzzy'; did you mean [a-z_.]+(, [a-z_.]+)?( or [a-z_.]+)?\\?$"),
        (f"{COMMAND} --recipe slow", "choose one of fast"),
        (f"{COMMAND} --training.epochs many", "training.epochs is 'many'"),
        (f"{COMMAND} --j none", "--j"),
        (f"{COMMAND} --clusters -1", "clusters is -1; it must be at least 1"),
        (f"{COMMAND} --clusters 2.5", "clusters is '2.5'; it must be a whole number"),
        (f"{COMMAND} --umap perhaps", "give yes or no"),
        (
            f"retrain {COMMAND}",
            "choose train, abinitio, analyze, .*, import or export",
        ),
        (f"{COMMAND} --species 2", "species is a label of the task abinitio"),
        (f"abinitio {COMMAND} --homogeneous perhaps", "give yes or no"),
        (f"analyze {COMMAND} --z_dim 3", "z_dim is a setting of training"),
        (f"analyze {COMMAND} --linkage ward", "linkage is a label of the task landscape"),
        (f"states {COMMAND} --also External/job004/", "also is a label of the task validate"),
        (f"states {COMMAND} --analysis no", "analysis is a label of the task train or abinitio"),
        (f"reconstruct {COMMAND} --closed_form.nodes 40", "closed_form.nodes is a setting of training"),
        (f"reconstruct {COMMAND} --run External/job002/", "run is a label of the task analyze, .* or export"),
        (f"import {COMMAND}", "name the folder of a cryoDRGN training with the label training, or a file of latents"),
        (f"import {COMMAND} --training 004_vae --latents z.pkl", "A training has latents of its own"),
        (f"import {COMMAND} --latents z.npy --z_dim 3", "z_dim is a setting of training"),
        (f"{COMMAND} --training 004_vae", "training is a label of the task import"),
        (f"import {COMMAND} --latents z.npy --bases 0", "bases is 0"),
        (f"reconstruct {COMMAND} --halves odd", "halves is 'odd'"),
        (f"states {COMMAND} --method guess", "method is 'guess'"),
        (f"trajectory {COMMAND} --kind points", "needs a file of latent coordinates"),
        (f"trajectory {COMMAND} --name mine", "There is no setting 'name'"),
        (f"validate {COMMAND} --permutations 20", "cannot show a significance"),
        (f"{COMMAND} --where z1", "where is a label of the task select"),
        (f"landscape {COMMAND} --clusters -1", "clusters is -1"),
        (f"subtract {COMMAND} --in_mask a.mrc --mask b.mrc", "a mask on the Input tab and another as the label mask"),
        (f"select {COMMAND}", "Say which particles to select"),
        (f"select {COMMAND} --junk yes --junk_cut high", "junk_cut is 'high'; it must be a number"),
        (f"preflight {COMMAND} --box 33", "box is 33"),
        (f"{COMMAND} --in_mics m.star", "works on particles"),
        ("--o External/job002/ --j 1", "No particles were given"),
        ("--in_parts p.star", "started by RELION"),
    ],
)
def test_a_wrong_argument_gives_one_sentence(command, sentence):
    with pytest.raises(ConfigError) as raised:
        parse(command)
    assert re.search(sentence, str(raised.value))


# --- the work of a job --------------------------------------------------------------------------------------------


def words_of(stage) -> list[str]:
    return stage.command[stage.command.index("-m") + 1 :]


def test_training_is_followed_by_analysis_and_results():
    command = f"{COMMAND} --recipe homogeneous --training.epochs 5 --clusters 3 --umap no --half_maps yes"
    training, analysis, results = train_stages(parse(command), "5")
    assert words_of(training)[1:] == [
        *("train", "Import/job001/particles.star", "--out", "External/job002/run"),
        *("--recipe", "homogeneous", "--training.epochs", "5", "--overwrite"),
    ]
    words = words_of(analysis)
    assert words[1:5] == ["analyze", "External/job002/run", "--clusters", "3"]
    assert "--no-umap" in words and "--half-maps" in words and "--no-figures" not in words
    assert words_of(results)[0] == "cryodrgn_plugin.relion.job_results"
    assert len(train_stages(parse(f"{COMMAND} --analysis no"), "5")) == 2


def test_the_engine_understands_what_it_is_told():
    """A recipe brings its own defaults: z_dim 0 for the homogeneous one."""
    training = train_stages(parse(f"{COMMAND} --recipe homogeneous --training.epochs 5"), "5")[0]
    parser = argparse.ArgumentParser()
    train_command.add_arguments(parser)
    given = parser.parse_args(words_of(training)[2:])
    config = recipe_config(given.recipe, given_settings(given))
    assert (config.recipe, config.z_dim, config.training.epochs) == ("homogeneous", 0, 5)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("--training 004_vae/ --epoch 20", "004_vae/ --particles Import/job001/particles.star --epoch 20"),
        ("--latents 3dva.cs --bases 5", "Import/job001/particles.star --latents 3dva.cs --bases 5"),
    ],
)
def test_an_import_takes_a_training_or_latents_of_the_input_particles(labels, told):
    stage, results = import_stages(parse(f"import {COMMAND} {labels}"), "5")
    source, *rest = told.split()
    expected = ["import", source, *rest, "--out", "External/job002/run", "--overwrite"]
    words = words_of(stage)[1:]
    assert words[:2] == expected[:2] and sorted(words) == sorted(expected)
    parser = argparse.ArgumentParser()
    import_command.add_arguments(parser)
    given = parser.parse_args(words[1:])
    options = chosen_options(given, ImportOptions)
    assert (given.source, given.out, given.overwrite) == (source, "External/job002/run", True)
    assert (options.epoch, options.bases) == ((20, 8) if source == "004_vae/" else (0, 5))
    assert options.particles == ("Import/job001/particles.star" if source == "004_vae/" else "")
    assert json.loads(words_of(results)[1])["run"] == "External/job002/run"


def test_a_search_for_poses_tells_the_engine_what_is_looked_for():
    command = f"abinitio {COMMAND} --homogeneous yes --species auto --poses.kept 4 --seed 3"
    search, results = ab_initio_stages(parse(command), "5")
    assert words_of(search)[1:4] == ["abinitio", "Import/job001/particles.star", "--out"]
    parser = argparse.ArgumentParser()
    abinitio_command.add_arguments(parser)
    given = parser.parse_args(words_of(search)[2:])
    config = recipe_config(given.recipe, abinitio_command.what_is_looked_for(given))
    assert (config.recipe, config.z_dim, config.ab_initio.species) == ("abinitio", 0, 0)
    assert (config.poses.kept, config.seed) == (4, 3)
    assert not json.loads(words_of(results)[1])["clusters"]


def test_a_latent_space_found_with_the_poses_is_analysed():
    titles = [stage.title for stage in ab_initio_stages(parse(f"abinitio {COMMAND}"), "5")]
    assert titles == ["Search for poses", "Analysis", "Results for RELION"]
    assert len(ab_initio_stages(parse(f"abinitio {COMMAND} --analysis no"), "5")) == 2
    assert len(ab_initio_stages(parse(f"abinitio {COMMAND} --z_dim 0"), "5")) == 2


def test_a_selection_follows_a_rule_whose_comparisons_are_words():
    arguments = parse(f"select {COMMAND} --where z1 gt 0 and cluster ne 3 --random 100 --junk yes")
    assert arguments.options == {"where": "z1 > 0 and cluster != 3", "random": 100, "junk": True}


def test_a_rule_that_begins_with_a_minus_arrives_whole():
    arguments = parse(f"select {COMMAND} --where -z1 gt 0 and -2 lt z2 --j 1")
    assert arguments.options == {"where": "-z1 > 0 and -2 < z2"}
    parser = argparse.ArgumentParser()
    select_command.add_arguments(parser)
    words = as_flags(arguments.options, TASKS["select"].options)
    assert chosen_options(parser.parse_args(["run", *words]), TASKS["select"].options).where == "-z1 > 0 and -2 < z2"


def test_a_reconstruction_is_told_its_options_and_its_settings():
    arguments = parse(f"reconstruct {COMMAND} --in_mask mask.mrc --halves star --data.box 64 --seed 3")
    stage, results = reconstruct_stages(arguments, "5")
    assert words_of(stage)[1:] == [
        *("reconstruct", "Import/job001/particles.star", "--out", "External/job002/run"),
        *("--halves", "star", "--mask", "mask.mrc", "--data.box", "64", "--seed", "3"),
    ]
    assert json.loads(words_of(results)[1])["task"] == "reconstruct"


@pytest.mark.parametrize("task", ["subtract", "landscape", "states", "reconstruct"])
def test_the_mask_of_the_input_tab_is_that_of_a_task_which_has_one(task):
    assert parse(f"{task} {COMMAND} --in_mask MaskCreate/job007/mask.mrc").options == {
        "mask": "MaskCreate/job007/mask.mrc"
    }


def test_a_focus_that_begins_with_a_minus_reaches_the_engine():
    training = train_stages(parse(f"{COMMAND} --closed_form.focus -20,0,14,30"), "5")[0]
    parser = argparse.ArgumentParser()
    train_command.add_arguments(parser)
    given = parser.parse_args(words_of(training)[2:])
    assert recipe_config("fast", given_settings(given)).closed_form.focus == "-20,0,14,30"


LOOKS = {
    "analyze": ("analysis", "--clusters 4", "--clusters 4"),
    "landscape": ("landscape", "--clusters 4", "--clusters 4"),
    "trajectory": ("trajectories", "--kind pc --movie no", "--kind pc --no-movie --name path"),
    "states": ("states", "--b_factor_ang2 60 --bias no", "--no-bias --b-factor-ang2 60.0"),
    "atoms": ("atoms", "--model model.cif --most_parts 3", "--model model.cif --most-parts 3"),
    "validate": ("validation", "--halves no", "--no-halves --resume"),
    "agreement": ("agreement", "--least 0.6", "--least 0.6"),
    "select": ("selections", "--random 5", "--random 5"),
    "subtract": ("", "--mask -20,0,14,30", "--mask=-20,0,14,30 --out External/job003/subtracted"),
    "export": ("exports", "--program cryodrgn", "--program cryodrgn"),
}
"""Task to the folder it makes, labels, and what the engine is told."""


@pytest.mark.parametrize("task", LOOKS)
def test_a_look_at_an_earlier_job_borrows_its_run_and_keeps_what_was_found(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = Path("External/job002/run")
    for folder, _, _ in LOOKS.values():
        (source / folder).mkdir(parents=True, exist_ok=True)
    (source / "run.json").write_text("{}")
    makes, labels, told = LOOKS[task]
    command = f"{task} --o External/job003/ --in_parts External/job002/particles.star {labels}"
    stage, results = looking_stages(parse(command), "5")
    assert words_of(stage)[1:] == [task, "External/job003/run", *told.split()]
    assert json.loads(words_of(results)[1])["task"] == task
    shared = {path.name for path in Path("External/job003/run").iterdir() if path.is_symlink()}
    assert shared == {"analysis", "landscape", "states", "atoms", "validation", "agreement"} - {makes}


@pytest.mark.parametrize("task", LOOKS)
def test_the_engine_understands_what_a_look_tells_it(task):
    _, labels, told = LOOKS[task]
    parser = argparse.ArgumentParser()
    importlib.import_module(f"cryodrgn_plugin.engine.cli.{task}_command").add_arguments(parser)
    given = chosen_options(parser.parse_args(["run", *told.split()]), TASKS[task].options)
    asked = parse(f"{task} {COMMAND} {labels}").options
    assert asked and {name: getattr(given, name) for name in asked} == asked
    assert task in looking_tasks() and set(looking_tasks()) == set(LOOKS)


def test_a_validation_compares_with_the_runs_of_other_jobs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for job in ("External/job002", "External/job004"):
        Path(job, "run").mkdir(parents=True)
        Path(job, "run/run.json").write_text("{}")
    command = "validate --o External/job005/ --in_parts External/job002/particles.star --also External/job004/"
    stage, _ = looking_stages(parse(command), "5")
    assert words_of(stage)[1:] == ["validate", "External/job005/run", "--resume", "--also", "External/job004/run"]
    with pytest.raises(DataError, match=r"External/job009/ is not a training job .* correct the label also"):
        looking_stages(parse(command.replace("job004", "job009")), "5")


def test_species_are_compared_with_those_of_other_jobs_in_their_order(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    jobs = [f"External/job00{number}" for number in (2, 4, 3)]
    for job in jobs:
        Path(job, "run").mkdir(parents=True)
        Path(job, "run/run.json").write_text("{}")
    also = " ".join(f"{job}/" for job in jobs[1:])
    command = f"agreement --o External/job005/ --in_parts {jobs[0]}/particles.star --also {also} --least 0.6"
    stage, _ = looking_stages(parse(command), "5")
    runs = ["External/job005/run", *(f"{job}/run" for job in jobs[1:])]
    assert words_of(stage)[1:] == ["agreement", *runs, "--least", "0.6"]


# --- version and nodes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pipeline", "version"),
    [
        ("# version 30001\n\ndata_pipeline_nodes\n\nloop_\n_rlnPipeLineNodeName #1\n_rlnPipeLineNodeType #2\n", "3.1"),
        ("# version 30001\n\nloop_\n_rlnPipeLineNodeName #1\n_rlnPipeLineNodeTypeLabel #2\n", "4"),
        ("# version 50001\n\nloop_\n_rlnPipeLineNodeName #1\n_rlnPipeLineNodeTypeLabel #2\n", "5"),
        ("", "3.1"),
    ],
)
def test_the_project_tells_which_relion_wrote_it(tmp_path, pipeline, version):
    (tmp_path / "default_pipeline.star").write_text(pipeline)
    assert relion_version(tmp_path) == version
    assert relion_version(tmp_path, "4.0.2") == "4"
    with pytest.raises(ConfigError):
        relion_version(tmp_path, "2")


@pytest.mark.parametrize(
    ("version", "columns", "rows"),
    [
        (
            "3.1",
            ["_rlnPipeLineNodeType #2"],
            ["p.star 3", "a.mrc 6", "m.mrc 7", "h.mrc 10", "r.mrc 12", "l.pdf 13", "run_it000_model.star 8"],
        ),
        (
            "4",
            ["_rlnPipeLineNodeTypeLabel #2"],
            [
                "p.star ParticlesData.star.relion",
                "a.mrc DensityMap.mrc",
                "m.mrc Mask3D.mrc",
                "h.mrc DensityMap.mrc.halfmap",
                "r.mrc Image3D.mrc.relion.localresmap",
                "l.pdf LogFile.pdf.relion",
                "run_it000_optimiser.star ProcessData.star.relion.optimiser",
            ],
        ),
        (
            "5",
            ["_rlnPipeLineNodeTypeLabel #2", "_rlnPipeLineNodeTypeLabelDepth #3"],
            [
                "p.star ParticleGroupMetadata.star.relion 1",
                "a.mrc DensityMap.mrc 1",
                "m.mrc Mask3D.mrc 1",
                "h.mrc DensityMap.mrc.halfmap 1",
                "r.mrc Image3D.mrc.relion.localresmap 1",
                "l.pdf LogFile.pdf.relion 1",
                "run_it000_optimiser.star OptimiserData.star.relion 1",
            ],
        ),
    ],
)
def test_each_relion_reads_its_own_node_types(version, columns, rows):
    files = {"p.star": "particles", "a.mrc": "map", "m.mrc": "mask", "h.mrc": "half-map"}
    files |= {"r.mrc": "local resolution", "l.pdf": "log"}
    files |= {"run_it000_model.star": "class model", "run_it000_optimiser.star": "class optimiser"}
    lines = output_nodes_text([OutputNode(path, kind) for path, kind in files.items()], version).splitlines()
    head = ["", "# version 30001", "", "data_output_nodes", "", "loop_", "_rlnPipeLineNodeName #1", *columns]
    assert lines == [*head, *rows, ""]


# --- the run that an analysis borrows -----------------------------------------------------------------------------


def test_an_analysis_job_borrows_the_training_run_and_leaves_it_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source = Path("External/job002/run")
    (source / "analysis").mkdir(parents=True)
    for name in ("run.json", "model.pt", "latents.npz"):
        (source / name).write_text(name)
    job = training_job(parse("analyze --o External/job003/ --in_parts External/job002/particles.star"))
    target = Path("External/job003/run")
    for _ in range(2):
        Run.borrow(job / "run", target, "analysis")
    (target / "run.json").write_text("analysed")
    assert (target / "model.pt").read_text() == "model.pt" and not (target / "analysis").exists()
    assert (source / "run.json").read_text() == "run.json"


def test_particles_that_no_training_job_made_cannot_be_analyzed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="not a training job"):
        training_job(parse("analyze --o External/job003/ --in_parts Import/job001/particles.star"))


def test_without_a_pipeline_the_version_is_that_of_job_star(tmp_path):
    job = tmp_path / "External" / "job002"
    job.mkdir(parents=True)
    assert relion_version(tmp_path, job=job) == "3.1"
    (job / "job.star").write_text("# version 30001\n\ndata_job\n\n_rlnJobTypeLabel relion.external\n")
    assert relion_version(tmp_path, job=job) == "4"
    (job / "job.star").write_text("# version 50001\n\ndata_job\n\n_rlnJobTypeLabel relion.external\n")
    assert relion_version(tmp_path, job=job) == "5"
    (tmp_path / "default_pipeline.star").write_text("# version 30001\n")
    assert relion_version(tmp_path, job=job) == "3.1", "the pipeline knows better"


@pytest.mark.parametrize("label", ["a" * 3000, "--o E/ --in_parts a.star --clusters ²"])
def test_errors_about_labels_are_short(label):
    words = label.split() if " " in label else ["--o", "E/", "--in_parts", "a.star", f"--{label}", "1"]
    with pytest.raises(ConfigError) as error:
        parse_arguments(["analyze", *words])
    assert len(str(error.value)) < 400
