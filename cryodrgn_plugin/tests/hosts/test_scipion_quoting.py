"""What is typed into a form reaches the engine as it was typed: the host's shell does nothing with it."""

import json
import os
import subprocess
import sys

import pytest

pytest.importorskip("pwem")

from pyworkflow.utils.process import buildRunCommand

from cryodrgn_plugin.plugin import Plugin
from cryodrgn_plugin.protocols import protocol_base
from cryodrgn_plugin.protocols.protocol_base import GPU_PLACE, ProtHetBase

PAYLOADS = [
    "$(touch hacked)",
    "`touch hacked`",
    '"; touch hacked; "',
    "'; touch hacked; '",
    "a && touch hacked",
    "a | touch hacked",
    "> hacked",
    'cluster == "state one" and z1 > 0',
    "$HOME ~ * ? [a] {a,b} !!",
    "50 % of 10%s %(GPU)s %% %d",
    "back\\slash \\n",
    "two\nlines",
    "",
    "²ü–",
    "-x --out",
]


class Executor:
    """The host's executor as far as a command line goes: it formats the GPUs in, where it finds their place."""

    def __init__(self, gpus, folder):
        self.gpus, self.folder, self.said = gpus, folder, ""

    def getGpuList(self):
        return self.gpus

    def run(self, program, words, env=None):
        gpus = self.gpus if GPU_PLACE in program or GPU_PLACE in words else []
        command = buildRunCommand(program, words, 1, env=None, gpuList=gpus)
        environment = {**os.environ, "PYTHONPATH": str(self.folder)}
        line = ["sh", "-c", command]
        done = subprocess.run(line, cwd=self.folder, env=environment, capture_output=True, text=True, check=True)
        self.said = done.stdout


class Protocol(ProtHetBase):
    """A protocol without a form or a project."""

    def __init__(self, executor, uses_gpu, folder):
        self._stepsExecutor, self._uses_gpu, self._log_file = executor, uses_gpu, folder / "stderr"
        self._log_file.touch()

    def usesGpu(self):
        return self._uses_gpu

    def getGpuList(self):
        return ["0"] if self._uses_gpu else []

    def useQueue(self):
        return False

    def getStderrLog(self):
        return str(self._log_file)

    def runJob(self, program, arguments, env=None):
        self._stepsExecutor.run(program, arguments, env)

    def _engineEnviron(self):
        return None


@pytest.mark.parametrize("gpus", [[], ["0", "1"]])
@pytest.mark.parametrize("uses_gpu", [False, True])
def test_every_argument_arrives_whole_and_none_is_done(tmp_path, monkeypatch, gpus, uses_gpu):
    (tmp_path / "says_arguments.py").write_text(
        "import json, os, sys\nprint(json.dumps([os.environ.get('CUDA_VISIBLE_DEVICES'), *sys.argv[1:]]))\n"
    )
    monkeypatch.setattr(protocol_base, "ENGINE_MODULE", "says_arguments")
    monkeypatch.setattr(Plugin, "getEnginePython", lambda: sys.executable)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for payload in PAYLOADS:
        executor = Executor(gpus, tmp_path)
        Protocol(executor, uses_gpu, tmp_path).runEngine("select", "--where", payload, 5)
        visible, *arguments = json.loads(executor.said)
        assert arguments == ["select", "--where", payload, "5"]
        assert visible == ("0,1" if gpus and uses_gpu else None)
    assert not (tmp_path / "hacked").exists()


def test_a_python_whose_path_has_blanks_runs(tmp_path, monkeypatch):
    folder = tmp_path / "an $(touch hacked) environment"
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(sys.executable)
    (tmp_path / "says_arguments.py").write_text("import json, sys\nprint(json.dumps(sys.argv[1:]))\n")
    monkeypatch.setattr(protocol_base, "ENGINE_MODULE", "says_arguments")
    monkeypatch.setattr(Plugin, "getEnginePython", lambda: str(python))
    executor = Executor([], tmp_path)
    Protocol(executor, False, tmp_path).runEngine("info", "a b")
    assert json.loads(executor.said) == ["info", "a b"] and not (tmp_path / "hacked").exists()
