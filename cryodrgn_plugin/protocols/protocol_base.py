"""What the protocols share: running the engine as a subprocess, explaining its failures, and matching results by id."""

import os
import shlex
from collections.abc import Callable, Iterable

import pyworkflow.protocol.constants as cons
from pwem.protocols import EMProtocol
from pyworkflow.exceptions import PyworkflowException
from pyworkflow.protocol import params

from ..constants import DISPLAY_NAME, RUN_FOLDER
from ..engine.errors import EngineError
from ..engine.run import Run
from ..plugin import Plugin
from .form_settings import FormSetting
from .gpus import gpus

ENGINE_MODULE = "cryodrgn_plugin.engine.cli"
GPU_PLACE = "%(GPU)s"
"""Where the host puts the numbers of GPUs."""
ENGINE_PREFIX = "cryodrgn-plugin: "


class EngineFailed(PyworkflowException):
    """The engine said in one sentence why it stopped; Scipion shows this sentence as the run's error."""


class ProtHetBase(EMProtocol):
    """Base of the protocols that run the engine; it is not shown in the tree."""

    stepsExecutionMode = cons.STEPS_SERIAL

    # --------------------------- DEFINE param functions ----------------------
    @staticmethod
    def _addGpuParams(form):
        form.addHidden(
            params.USE_GPU, params.BooleanParam, default=bool(gpus()), label="Use GPU for execution",
            help="Compute on the GPU where there is one; without one the same calculation runs on the processor. It is "
                 "*no* at first where this machine has none; say *yes* for a queue whose machines have some.",
        )  # fmt: skip
        there = "\n".join(gpus()) or "This machine has none that its driver tells of."
        form.addHidden(
            params.GPU_LIST, params.StringParam, default="0", label="Choose GPU IDs",
            help=f"The GPU to use, as numbered by nvidia-smi. A queue gives its own.\n{there}",
        )  # fmt: skip

    @staticmethod
    def _addThreads(form):
        form.addParallelSection(threads=min(os.cpu_count() or 1, 8), mpi=0)

    # --------------------------- UTILS functions -----------------------------
    @classmethod
    def getClassLabel(cls, prependPackageName=True):
        """As the host makes it, with the short name of the plugin: its package's would fill the box of a run."""
        label = super().getClassLabel(prependPackageName=False)
        return f"{DISPLAY_NAME} - {label}" if prependPackageName else label

    def getSubmitDict(self):
        """What the host tells a queue; no GPUs where none are to be used."""
        told = super().getSubmitDict()
        return told if self.usesGpu() else {**told, "GPU_COUNT": 0}

    def _give(self, name: str, output, *sources) -> None:
        """Define an output and tell that it comes from `sources`."""
        self._defineOutputs(**{name: output})
        for source in sources:
            self._defineSourceRelation(source, output)

    def runEngine(self, *arguments: object) -> None:
        """Run one command of the engine's command line; output goes to the run's log.

        Raises EngineFailed with the engine's own sentence when it does not succeed.
        """
        log_start = _size(self.getStderrLog())
        program = shlex.join([Plugin.getEnginePython()])
        words = shlex.join(["-m", ENGINE_MODULE, *map(str, arguments)])
        has_gpus = bool(self._stepsExecutor.getGpuList())
        if has_gpus and self.usesGpu() and self.getGpuList() and not self.useQueue():  # which says what it has given
            program = f"CUDA_VISIBLE_DEVICES={GPU_PLACE} {program.replace('%', '%%')}"
        # The host formats a line with the GPUs that it has to give, where it finds their place in it, and gives it to a
        # shell: so it is one text, in which each argument is quoted.
        if has_gpus and GPU_PLACE in program + words:
            words = words.replace("%", "%%")
        try:
            self.runJob(program, words, env=self._engineEnviron())
        except Exception as error:  # noqa: BLE001 - pyworkflow raises Exception itself
            raise EngineFailed(self._explanation(log_start) or str(error)) from None

    @staticmethod
    def _settingErrors(check: Callable[[], object]) -> list[str]:
        """The engine's own complaint about settings, if `check` raises one."""
        try:
            check()
        except EngineError as error:
            return [str(error)]
        return []

    def _engineEnviron(self):
        environ = Plugin.getEnviron()
        threads = str(self.numberOfThreads.get())
        environ.update({"OMP_NUM_THREADS": threads, "NUMBA_NUM_THREADS": threads})
        return environ

    def _explanation(self, log_start: int) -> str:
        """Why the engine stopped: what it last wrote to the error log beyond byte `seen`, else what run.json says."""
        with open(self.getStderrLog(), encoding="utf-8", errors="replace") as log:
            log.seek(log_start)
            lines = [line.strip() for line in log if line.strip()]
        said = [line.removeprefix(ENGINE_PREFIX) for line in lines if line.startswith(ENGINE_PREFIX)]
        return said[-1] if said else self._statusMessage() or (lines[-1] if lines else "")

    def _statusMessage(self) -> str:
        try:
            return Run.open(self.getRunFolder()).message
        except EngineError:
            return ""

    def getRunFolder(self) -> str:
        """The engine's run folder, relative to the project."""
        return self._getExtraPath(RUN_FOLDER)

    def getConsensusMap(self) -> str:
        """The map of all particles, relative to the project; empty where this protocol makes none."""
        return ""

    def getMaps(self) -> list[tuple[str, str, str]]:
        """Series, label and file of the maps that this protocol made itself, relative to the project."""
        consensus = self.getConsensusMap()
        return [("consensus", "consensus", consensus)] if os.path.isfile(consensus) else []


def addGroup(form, name: str, settings: Iterable[FormSetting], **options) -> None:
    """Add a labelled group of engine settings to a form."""
    group = form.addGroup(name, **options)
    for item in settings:
        item.add_to(group)


def _size(path: str) -> int:
    return os.path.getsize(path) if os.path.exists(path) else 0
