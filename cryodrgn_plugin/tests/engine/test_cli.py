"""The command line: quick to start, every setting reachable, every ending one sentence and the right exit code."""

import errno
import json
import os
import pty
import resource
import subprocess
import sys
import time

import numpy as np
import pytest

from cryodrgn_plugin.engine.analysis.analysis_options import AnalysisOptions
from cryodrgn_plugin.engine.analysis.latent_points import parse_rows, read_points
from cryodrgn_plugin.engine.cli.main import COMMANDS, Parser, main
from cryodrgn_plugin.engine.cli.option_flags import add_options, chosen_options, given_options
from cryodrgn_plugin.engine.cli.setting_flags import GIVEN_ELSEWHERE, add_settings, given_settings
from cryodrgn_plugin.engine.config import build, setting_names, settings_of
from cryodrgn_plugin.engine.errors import ConfigError, DataError
from cryodrgn_plugin.engine.io.mrc import read_map
from cryodrgn_plugin.engine.landscape.landscape_options import LandscapeOptions, TrajectoryOptions
from cryodrgn_plugin.engine.poses.refine_options import RefineOptions
from cryodrgn_plugin.engine.preflight.preflight_options import PreflightOptions
from cryodrgn_plugin.engine.run import Run
from cryodrgn_plugin.engine.selection.selection_options import SelectOptions
from cryodrgn_plugin.engine.states.state_options import StatesOptions
from cryodrgn_plugin.engine.validation.validation_options import ValidateOptions
from cryodrgn_plugin.tests.engine.planted_run import (
    PIXEL_ANG,
    BlobDecoder,
    blob_place_px,
    planted_run,
    serve_decoder,
    serve_fit,
)

CLI = [sys.executable, "-m", "cryodrgn_plugin.engine.cli"]


def finishing_fit(run, config, **how):
    """A training that is over at once."""
    run.append_metrics({"epoch": 1, "seconds": 0.1, "loss": 0.5})
    run.save_latents(np.zeros((3, config.z_dim)))


def one_sentence(text: str) -> str:
    """`text`, which must be a single line ending in a full stop."""
    assert text.count("\n") == 1 and text.endswith(".\n"), text
    return text


# --- help -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_costs_less_than_a_second_and_imports_nothing_heavy(command):
    code = (
        "import sys; from cryodrgn_plugin.engine.cli.main import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', {'torch', 'numba', 'scipy', 'sklearn', 'matplotlib', 'umap'} & set(sys.modules))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    arguments = [word for word in (command, "--help") if word]
    shown = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert "HEAVY set()" in shown and "cryodrgn-plugin" in shown
    # Processor time, for the machine may be busy with other tests.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.0


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_examples(command, capsys):
    with pytest.raises(SystemExit) as ending:
        main([command, "--help"])
    assert ending.value.code == 0
    assert f"\n  cryodrgn-plugin {command}" in capsys.readouterr().out


def test_the_help_of_train_explains_every_setting_and_what_recipes_change(capsys):
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert all(f"--{name} " in words for name in setting_names() if name not in GIVEN_ELSEWHERE)
    assert "(default 32; paper 128; cryodrgn 16" in words


def test_the_version_is_said(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("cryodrgn-plugin 0.")


# --- settings -------------------------------------------------------------------------------------------------------


def parsed(*words: str) -> dict[str, str]:
    parser = Parser(prog="test")
    add_settings(parser)
    return given_settings(parser.parse_args(words))


def test_a_setting_can_be_given_as_an_option_or_by_set():
    assert parsed("--data.box", "64", "--set", "training.epochs=5") == {"data.box": "64", "training.epochs": "5"}
    assert parsed("--z-dim", "2") == parsed("--z_dim", "2") == {"z_dim": "2"}
    assert parsed("--training.epochs", "7", "--set", "training.epochs=5") == {"training.epochs": "7"}


def chosen(*words: str) -> AnalysisOptions:
    parser = Parser(prog="test")
    parser.add_argument("run")
    add_options(parser, AnalysisOptions)
    args = parser.parse_args(words)
    assert args.run == "run"
    return chosen_options(args, AnalysisOptions)


@pytest.mark.parametrize(
    "words",
    [
        ("--half-maps", "run", "--no-umap"),
        ("--half_maps", "yes", "run", "--umap", "no"),
        ("run", "--umap=no", "--half-maps"),
        ("--half_maps", "--no-umap", "run"),
        ("--umap", "FALSE", "run", "--half_maps", "1"),
    ],
)
def test_a_switch_is_given_by_yes_and_no_or_bare(words):
    assert chosen(*words) == AnalysisOptions(umap=False, half_maps=True)


OPTIONS = (
    *(AnalysisOptions, LandscapeOptions, TrajectoryOptions, StatesOptions, ValidateOptions),
    *(SelectOptions, PreflightOptions, RefineOptions),
)
NEEDED = {SelectOptions: {"clusters": "1"}, TrajectoryOptions: {"points": "z.txt"}}
"""What a command cannot be asked without."""
EXAMPLES = {int: ("9", 9), float: ("0.4", 0.4), str: ("mine", "mine")}
LARGE = ("particles", "tested", "limit", "bootstrap", "sketch", "box", "permutations")
"""Numbers that cannot be as small as the example."""


def words_and_value(one):
    """What to write for a setting, and what it then is: not the default, and allowed."""
    if one.kind is bool:
        return ("no", False) if one.default else ("yes", True)
    if one.choices:
        return one.choices[-1], one.choices[-1]
    if one.name == "states":
        return "9", one.kind(9)
    return ("400", 400) if one.name in LARGE and one.kind is int else EXAMPLES[one.kind]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: options.__name__)
def test_every_option_is_understood_in_each_of_its_spellings(options):
    needed = NEEDED.get(options, {})
    for one in settings_of(options).values():
        word, value = words_and_value(one)
        hyphened = one.name.replace("_", "-")
        lines = [[f"--{name}", word] for name in (one.name, hyphened)]
        if one.kind is bool:
            lines += [[f"--{hyphened}"]] if value else [[f"--no-{hyphened}"]]
        for words in lines:
            parser = Parser(prog="test")
            parser.add_argument("run")
            add_options(parser, options)
            given = given_options(parser.parse_args([*words, "run"]))
            assert build(options, {**needed, **given}) == options(**{**needed, one.name: value})


def test_an_option_has_its_settings_name_and_hyphens_count_as_underscores():
    assert chosen("run", "--umap_limit", "9") == chosen("run", "--umap-limit", "9") == AnalysisOptions(umap_limit=9)
    assert parsed("--set", "training.batch-size=5") == parsed("--training.batch-size", "5")


@pytest.mark.parametrize("words", [("--training.sparse",), ("--training.sparse", "yes"), ("--training.sparse=yes",)])
def test_a_setting_of_a_run_is_a_switch_like_any_other(words):
    assert parsed(*words) == {"training.sparse": "yes"}
    assert parsed("--no-training.sparse") == parsed("--training.sparse", "no") == {"training.sparse": "no"}


def test_the_help_shows_choices_default_and_range(capsys):
    with pytest.raises(SystemExit):
        main(["landscape", "--help"])
    words = " ".join(capsys.readouterr().out.split())
    assert "--linkage ward|average " in words and "(default ward)" in words
    assert "(default 500; at least 10)" in words and "--volumes [yes|no] " in words


def test_set_without_a_value_is_explained():
    with pytest.raises(ConfigError, match=r"--set training\.epochs has no value; write --set NAME=VALUE"):
        parsed("--set", "training.epochs")


def test_options_reach_the_run_on_top_of_the_recipe(tmp_path, monkeypatch):
    serve_fit(monkeypatch, finishing_fit)
    words = "--recipe cryodrgn --training.epochs 5 --set decoder.width=64 --training.sparse yes".split()
    assert main(["train", "p.star", "--out", str(tmp_path / "run"), *words]) == 0
    config = Run.open(tmp_path / "run").config
    assert (config.training.epochs, config.decoder.width, config.training.sparse) == (5, 64, True)
    assert (config.decoder.kind, config.training.batch_size, config.particles) == ("mlp", 16, "p.star")


@pytest.mark.parametrize(
    "words, sentence",
    [
        (["trian"], "there is no command 'trian'; the commands are simulate, train"),
        (["train", "p.star"], "required: --out"),
        (
            ["train", "p.star", "--out", "RUN", "--epochs", "3"],
            "unrecognized arguments: --epochs 3; the nearest is --training.epochs; see",
        ),
        (["analyze", "RUN", "--umap-limt", "3"], "unrecognized arguments: --umap-limt 3; the nearest is --umap_limit;"),
        (["analyze", "RUN", "--umap", "perhaps"], "unrecognized arguments: perhaps; --umap is yes or no; see"),
        (["train", "p.star", "--out", "RUN", "--recipe", "slow"], "recipe is 'slow'; choose one of fast, paper"),
        (["train", "p.star", "--out", "RUN", "--data.box", "33"], "data.box is 33; it must be even"),
        (["train", "p.star", "--out", "RUN", "--data.box", "big"], "data.box is 'big'; it must be a whole number"),
        (
            ["train", "p.star", "--out", "RUN", "--set", "data.bx=3"],
            "There is no setting 'data.bx'; the nearest is data.box.",
        ),
        (["train", "p.star", "--out", "RUN", "--resume", "--overwrite"], "not allowed with argument"),
        (["analyze", "RUN"], "There is no run folder"),
        (["analyze", "RUN", "--clusters", "0"], "There is no run folder"),
        (["volumes", "RUN", "--out", "o"], "one of the arguments --particles --z is required"),
        (["info", "RUN"], "There is no run folder or particle file"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(tmp_path, words, sentence, capsys):
    words = [str(tmp_path / "run") if word == "RUN" else word for word in words]
    try:
        code = main(words)
    except SystemExit as ending:
        code = ending.code
    shown = capsys.readouterr()
    assert code == 2 and shown.out == ""
    assert sentence in one_sentence(shown.err)


# --- endings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error, code, sentence",
    [
        (DataError("p.star: 3 of 10 particles have no rlnAngleRot."), 2, "3 of 10 particles have no rlnAngleRot."),
        (OSError(errno.ENOSPC, "No space left on device", "model.pt"), 2, "The disk is full while writing model.pt"),
    ],
)
def test_a_failure_is_said_once_and_kept_in_the_run(tmp_path, monkeypatch, capsys, error, code, sentence):
    def fit(run, config, **how):
        raise error

    serve_fit(monkeypatch, fit)
    assert main(["train", "p.star", "--out", str(tmp_path / "run")]) == code
    assert sentence in one_sentence(capsys.readouterr().err)
    assert Run.open(tmp_path / "run").status == "failed" and sentence in Run.open(tmp_path / "run").message


def test_a_bug_is_traced_and_has_exit_code_1(tmp_path, monkeypatch, capsys):
    def fit(run, config, **how):
        raise IndexError("list index out of range")

    serve_fit(monkeypatch, fit)
    assert main(["train", "p.star", "--out", str(tmp_path / "run")]) == 1
    assert "Traceback" in capsys.readouterr().err
    assert "a bug: IndexError" in Run.open(tmp_path / "run").message


def test_training_again_needs_to_be_asked_for(tmp_path, monkeypatch, capsys):
    serve_fit(monkeypatch, finishing_fit)
    words = ["train", "p.star", "--out", str(tmp_path / "run")]
    assert [main(words), main(words), main([*words, "--overwrite"])] == [0, 2, 0]
    assert "already holds a run" in capsys.readouterr().err


def test_resume_reaches_the_trainer_and_a_finished_run_is_left_alone(tmp_path, monkeypatch, capsys):
    asked = []

    def fit(run, config, **how):
        asked.append((how["resume"], config.training.epochs))
        finishing_fit(run, config)

    serve_fit(monkeypatch, fit)
    words = ["train", "p.star", "--out", str(tmp_path / "run"), "--resume"]
    assert [main(words), main(words), main([*words, "--training.epochs", "50"])] == [0, 0, 0]
    assert asked == [(True, 20), (True, 50)]
    assert "there is nothing to resume" in capsys.readouterr().out


SLOW_FIT = """
import sys, time, types
from cryodrgn_plugin.engine.stopping import graceful_stop
def fit(run, config, **how):
    with graceful_stop() as stop:
        for epoch in range(1, 600):
            run.progress("epoch", epoch, 600, loss=1 / epoch)
            time.sleep({pause})
            if stop.requested:
                run.checkpoints_dir.mkdir()
                run.checkpoint_file(epoch).write_text("state")
            stop.raise_if_requested("Stopped after a checkpoint.")
            if epoch == {last}: return
module = types.ModuleType("cryodrgn_plugin.engine.recipes"); module.fit = fit
sys.modules[module.__name__] = module
from cryodrgn_plugin.engine.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_sigterm_leaves_a_checkpoint_the_status_stopped_and_exit_code_3(tmp_path):
    code = SLOW_FIT.format(pause=0.05, last=599)
    words = [sys.executable, "-c", code, "train", "p.star", "--out", str(tmp_path / "run")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        process.terminate()
        errors = process.communicate(timeout=60)[1]
    assert process.returncode == 3 and errors == "Stopped after a checkpoint.\n"
    run = Run.open(tmp_path / "run")
    assert run.status == "stopped" and run.latest_checkpoint() is not None


def test_on_a_terminal_progress_is_a_bar_with_the_time_left(tmp_path):
    code = SLOW_FIT.format(pause=0.01, last=20)
    words = [sys.executable, "-c", code, "train", "p.star", "--out", str(tmp_path / "run")]
    mine, theirs = pty.openpty()
    with subprocess.Popen(
        words, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := read_terminal(mine):
            shown += chunk
    os.close(mine)
    assert process.returncode == 0
    assert "━" in shown.decode() and "left" in shown.decode() and "20/600" in shown.decode()


def read_terminal(descriptor: int) -> bytes:
    """What a pseudo-terminal has to say; empty when the other end is gone."""
    try:
        return os.read(descriptor, 4096)
    except OSError:
        return b""


def test_a_pipe_that_closes_early_is_no_error(tmp_path):
    planted_run(tmp_path)
    with subprocess.Popen(
        [*CLI, "info", str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert process.returncode == 0 and errors == b""


# --- commands -------------------------------------------------------------------------------------------------------


def test_volumes_are_those_of_the_particles_asked_for_in_that_order(tmp_path, monkeypatch):
    run = planted_run(tmp_path)
    serve_decoder(monkeypatch, BlobDecoder())
    rows = [17, 0, 149, 42]
    words = ["volumes", str(run.path), "--particles", ",".join(map(str, rows)), "--out", str(tmp_path / "maps")]
    assert main(words) == 0
    assert sorted(file.name for file in (tmp_path / "maps").iterdir()) == [f"vol_{k:03d}.mrc" for k in range(4)]
    for k, row in enumerate(rows):
        volume, pixel_size_ang = read_map(tmp_path / "maps" / f"vol_{k:03d}.mrc")
        assert pixel_size_ang == pytest.approx(PIXEL_ANG)
        assert blob_place_px(volume) == pytest.approx(run.latents().z[row, 0], abs=0.02)


def test_particles_are_star_rows_also_when_the_run_used_a_part_of_them(tmp_path, monkeypatch):
    run = planted_run(tmp_path, n=10, rows=np.arange(19, 0, -2))
    serve_decoder(monkeypatch, BlobDecoder())
    assert main(["volumes", str(run.path), "--particles", "17", "--out", str(tmp_path / "maps")]) == 0
    assert blob_place_px(read_map(tmp_path / "maps" / "vol_000.mrc")[0]) == pytest.approx(
        run.latents().z[1, 0], abs=0.02
    )


def test_a_particle_that_the_run_lacks_is_named(tmp_path, monkeypatch, capsys):
    run = planted_run(tmp_path, n=10, rows=np.arange(1, 20, 2))
    serve_decoder(monkeypatch, BlobDecoder())
    assert main(["volumes", str(run.path), "--particles", "3,4", "--out", str(tmp_path / "maps")]) == 2
    assert "Particle 4 is not in" in one_sentence(capsys.readouterr().err)


@pytest.mark.parametrize("ending", ["txt", "npy", "npz"])
def test_points_are_read_from_text_and_numpy_files(tmp_path, ending):
    z = np.array([[1.0, 2.0], [3.0, -4.5], [0.25, 0.0]])
    file = tmp_path / f"z.{ending}"
    {"txt": np.savetxt, "npy": np.save, "npz": lambda path, values: np.savez(path, z=values)}[ending](file, z)
    np.testing.assert_allclose(read_points(str(file), 2), z)


@pytest.mark.parametrize(
    "content, z_dim, sentence",
    [
        (None, 2, "There is no file"),
        ("1 2\n3 4\n", 3, r"holds points of shape \(2, 2\); the run's latent space needs \(n, 3\)"),
        ("1 two\n", 2, "cannot be read as latent coordinates"),
        ("1 nan\n", 2, "holds numbers that are not finite"),
    ],
)
def test_points_that_do_not_fit_are_refused(tmp_path, content, z_dim, sentence):
    if content is not None:
        (tmp_path / "z.txt").write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_points(str(tmp_path / "z.txt"), z_dim)


def test_a_single_row_is_one_point_and_a_column_of_a_line_is_many(tmp_path):
    np.save(tmp_path / "z.npy", np.array([1.0, 2.0, 3.0]))
    assert read_points(str(tmp_path / "z.npy"), 3).shape == (1, 3)
    assert read_points(str(tmp_path / "z.npy"), 1).shape == (3, 1)


def test_rows_may_be_listed_and_ranged():
    assert parse_rows("0,17,40-42") == [0, 17, 40, 41, 42]
    for words in ("a", "3-", "", "5-2"):
        with pytest.raises(ConfigError, match="0,17,42 or 0-9"):
            parse_rows(words)


def test_analyze_writes_the_analysis_of_a_run(tmp_path, monkeypatch, capsys):
    run = planted_run(tmp_path)
    serve_decoder(monkeypatch, BlobDecoder())
    assert (
        main(
            [
                "analyze",
                str(run.path),
                "--clusters",
                "3",
                "--components",
                "0",
                "--steps",
                "2",
                "--no-umap",
                "--no-figures",
            ]
        )
        == 0
    )
    index = json.loads((run.results_dir("analysis") / "analysis.json").read_text())
    assert [series["name"] for series in index["series"]] == ["kmeans", "curve"]
    assert "3 classes hold" in capsys.readouterr().out and run.info["steps"]["analysis"]["status"] == "finished"


def test_info_summarises_a_run_and_a_star_file(tmp_path, capsys):
    run = planted_run(tmp_path)
    assert main(["info", str(run.path)]) == 0
    shown = capsys.readouterr().out
    assert "finished" in shown and "150 particles × 4 dimensions" in shown and "last loss" in shown
    assert main(["info", str(tmp_path / "particles.star")]) == 0
    shown = capsys.readouterr().out
    assert "pixel size (Å)" in shown and "2.5" in shown and "someToolsColumn" in shown
    assert main(["info", str(run.latents_file)]) == 2


def test_the_program_runs_as_a_module():
    began = time.monotonic()
    shown = subprocess.run([*CLI, "--help"], capture_output=True, text=True, check=True).stdout
    assert "a first session" in shown and time.monotonic() - began < 10
