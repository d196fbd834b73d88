"""The External-job protocol without RELION: exit markers, and a parent that outlives its child.

The children here are real short processes, killed and aborted as they would be in a project.
"""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from cryodrgn_plugin.relion.markers import ABORT_NOW, ABORTED, FAILURE, SUCCESS, JobMarkers
from cryodrgn_plugin.relion.supervisor import Stage, Supervisor
from cryodrgn_plugin.tests.hosts import patience


def python_child(code: str, *words: object) -> Stage:
    return Stage("Work", [sys.executable, "-c", code, *map(str, words)])


def exit_markers(folder: Path) -> set[str]:
    return {file.name for file in folder.glob("RELION_JOB_*")}


# --- markers ------------------------------------------------------------------------------------------------------


def test_only_one_exit_marker_is_ever_there(tmp_path):
    markers = JobMarkers(tmp_path)
    markers.fail("The stack is truncated.")
    assert exit_markers(tmp_path) == {FAILURE}
    (tmp_path / ABORT_NOW).touch()
    markers.abort("Stopped.")
    assert exit_markers(tmp_path) == {ABORTED}
    markers.succeed()
    assert exit_markers(tmp_path) == {SUCCESS}
    assert "The stack is truncated." in (tmp_path / "note.txt").read_text()


# --- the supervisor -----------------------------------------------------------------------------------------------

OBEDIENT = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("checkpoint written", flush=True), sys.exit(3)))
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
STUBBORN = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
time.sleep(60)
"""
"""Both leave a file, their argument, once a signal finds them ready."""


def test_stages_run_in_order_until_one_fails(tmp_path):
    stages = [python_child(f"open(r'{tmp_path}/{name}', 'w')") for name in "ab"]
    broken = python_child("import sys; print('warning', file=sys.stderr); sys.exit('Box 31 is odd.')")
    outcome = Supervisor(lambda: False, poll_seconds=0.05).run([stages[0], broken, stages[1]])
    assert outcome.kind == "failed" and "Box 31 is odd." in outcome.sentence
    assert (tmp_path / "a").exists() and not (tmp_path / "b").exists()


def test_the_users_mistake_is_told_in_the_childs_own_sentence(capfd):
    child = python_child("import sys; print('p.star has no rlnAngleRot.', file=sys.stderr); sys.exit(2)")
    outcome = Supervisor(lambda: False, poll_seconds=0.05).run([child])
    assert (outcome.kind, outcome.sentence) == ("failed", "p.star has no rlnAngleRot.")
    assert capfd.readouterr().err == "p.star has no rlnAngleRot.\n"


def test_an_abort_request_lets_the_child_write_its_checkpoint(capfd, tmp_path):
    ready = tmp_path / "ready"
    outcome = Supervisor(ready.exists, poll_seconds=0.05).run([python_child(OBEDIENT, ready)])
    assert outcome.kind == "stopped"
    assert "checkpoint written" in capfd.readouterr().out


def test_a_child_that_does_not_obey_is_killed(tmp_path):
    ready, limit = tmp_path / "ready", patience.Patience(5)
    abort = Supervisor(ready.exists, poll_seconds=0.05, grace_seconds=0.3)
    assert abort.run([python_child(STUBBORN, ready)]).kind == "stopped"
    assert not limit.is_over()


def test_a_killed_child_is_a_failure():
    outcome = Supervisor(lambda: False).run([python_child("import os; os.kill(os.getpid(), 9)")])
    assert outcome.kind == "failed" and "SIGKILL" in outcome.sentence


def test_a_job_whose_output_nobody_reads_goes_on(tmp_path):
    """The readers of both streams are gone before the child speaks, and it says more than a pipe holds."""
    work = "import sys; sys.stderr.write('x' * 200_000 + chr(10)); sys.stderr.flush(); open(sys.argv[1], 'w')"
    code = (
        "import sys; from cryodrgn_plugin.relion.supervisor import Stage, Supervisor; sys.stdin.read(); "
        "stages = [Stage('Work', [sys.executable, '-c', sys.argv[1], name]) for name in sys.argv[2:]]; "
        "sys.exit(Supervisor(lambda: False, poll_seconds=0.05).run(stages).kind != 'finished')"
    )
    command = [sys.executable, "-c", code, work, str(tmp_path / "a"), str(tmp_path / "b")]
    parent = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for stream in (parent.stdout, parent.stderr, parent.stdin):
        stream.close()
    patience.wait_for((tmp_path / "b").exists, 20)
    assert parent.wait(20) == 0


def test_a_child_that_cannot_start_is_a_failure():
    outcome = Supervisor(lambda: False).run([Stage("Training", ["/nowhere/python"])])
    assert outcome.kind == "failed" and "/nowhere/python" in outcome.sentence


def test_a_signal_to_the_parent_is_passed_on_as_a_request_to_stop(tmp_path):
    ready = tmp_path / "ready"

    def signal_once_ready() -> None:
        patience.wait_for(ready.exists, 10)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=signal_once_ready).start()
    assert Supervisor(lambda: False, poll_seconds=0.05).run([python_child(OBEDIENT, ready)]).kind == "stopped"


def test_no_orphan_is_left_when_the_parent_is_killed(tmp_path):
    pid_file = tmp_path / "pid"
    child = f"import os, time; os.symlink(str(os.getpid()), r'{pid_file}'); time.sleep(60)"
    code = (
        "import sys; from cryodrgn_plugin.relion.supervisor import Stage, Supervisor; "
        "Supervisor(lambda: False).run([Stage('Work', [sys.executable, '-c', sys.argv[1]])])"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, child], stdout=subprocess.DEVNULL)
    patience.wait_for(pid_file.is_symlink, 10)
    pid = int(os.readlink(pid_file))
    parent.kill()
    parent.wait()
    patience.wait_for(lambda: not alive(pid), 10)


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


# --- the whole parent ---------------------------------------------------------------------------------------------


def start_job(project: Path, words: list[str], program: tuple[str, ...] = ("-m", "cryodrgn_plugin.relion")):
    """Run the External job as RELION would, from the project folder."""
    (project / "External/job002").mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *program, "train", "--o", "External/job002/", *words]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3])}
    return patience.run(command, 60, cwd=project, env=env)


def test_a_mistyped_setting_fails_the_job_with_one_sentence(tmp_path):
    result = start_job(tmp_path, ["--in_parts", "p.star", "--z_dims", "4", "--j", "1"])
    assert exit_markers(tmp_path / "External/job002") == {FAILURE}
    assert result.stderr == "There is no setting 'z_dims'; did you mean z_dim?\n"
    assert "did you mean z_dim?" in (tmp_path / "External/job002/note.txt").read_text()


def test_absent_particles_fail_the_job(tmp_path):
    result = start_job(tmp_path, ["--in_parts", "Import/job001/particles.star", "--j", "1"])
    assert exit_markers(tmp_path / "External/job002") == {FAILURE}
    assert "There is no file Import/job001/particles.star" in result.stderr


@pytest.mark.parametrize("closed", ["", ">&-", "2>&-", ">&- 2>&-"])
def test_letters_beyond_latin_1_and_closed_streams_fail_no_job_but_for_its_reason(tmp_path, closed):
    (tmp_path / "External/job002").mkdir(parents=True)
    words = "-m cryodrgn_plugin.relion train --o External/job002/ --in_parts Ω/p.star --in_3dref Ω.mrc --j 1"
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[3]), "PYTHONIOENCODING": "latin-1"}
    (tmp_path / "Ω").mkdir()
    (tmp_path / "Ω/p.star").write_text("")
    patience.run(["bash", "-c", f"{sys.executable} {words} {closed}"], 60, cwd=tmp_path, env=env)
    assert exit_markers(tmp_path / "External/job002") == {FAILURE}
    note = (tmp_path / "External/job002/note.txt").read_text(encoding="utf-8")
    assert "p.star" in note and "fault of the program" not in note


@pytest.mark.parametrize("fault", ["raise ImportError('no module named torch')", "raise SystemExit(4)"])
def test_a_start_up_that_fails_still_leaves_the_marker(tmp_path, fault):
    broken = tmp_path / "broken.py"
    broken.write_text(
        "import sys, runpy, importlib.abc\n"
        "class Broken(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == 'cryodrgn_plugin.relion.job':\n            {fault}\n"
        "sys.meta_path.insert(0, Broken())\n"
        "sys.argv = ['cryodrgn-plugin-relion', *sys.argv[1:]]\n"
        "runpy.run_module('cryodrgn_plugin.relion', run_name='__main__')\n"
    )
    result = start_job(tmp_path, ["--in_parts", "p.star", "--j", "1"], (str(broken),))
    assert result.returncode == 1
    assert exit_markers(tmp_path / "External/job002") == {FAILURE}


def test_the_help_explains_every_setting():
    result = patience.run([sys.executable, "-m", "cryodrgn_plugin.relion", "--help"], 60)
    assert result.returncode == 0
    assert "training.epochs" in result.stdout and "External executable" in result.stdout
