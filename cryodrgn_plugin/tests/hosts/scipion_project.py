"""Scipion projects driven from tests: making them, adding protocols, running these to the end."""

import os
from contextlib import contextmanager


def create_project(name: str):
    """A new project, with the working folder moved into it as in Scipion's own processes."""
    from pyworkflow.project import Manager

    project = Manager().createProject(name)
    os.chdir(project.path)
    return project


@contextmanager
def project_named(name: str):
    """`create_project`, with the working folder back where it was at the end."""
    with _working_folder_kept():
        yield create_project(name)


@contextmanager
def _working_folder_kept():
    before = os.getcwd()
    try:
        yield
    finally:
        os.chdir(before)


def new_protocol(project, class_name: str, inputs: dict[str, tuple] | None = None, **values):
    """A protocol with parameters set; `inputs` maps a parameter to (protocol, name of its output)."""
    from pwem import Domain

    protocol = project.newProtocol(Domain.getProtocols()[class_name], **values)
    for name, (source, output) in (inputs or {}).items():
        pointer = getattr(protocol, name)
        pointer.set(source)
        pointer.setExtended(output)
    return protocol


def run(project, protocol):
    """Run a protocol as Scipion does, in a process of its own, and give it back as it ended."""
    project.launchProtocol(protocol, wait=True)
    return project.getProtocol(protocol.getObjId(), fromRuns=True) or protocol


def logs(protocol) -> str:
    """The end of what a run wrote, for the message of a failed assertion."""
    texts = []
    for path in (protocol.getStdoutLog(), protocol.getStderrLog()):
        if os.path.exists(path):
            with open(path, encoding="utf-8", errors="replace") as log:
                texts.append(log.read()[-3000:])
    return "\n".join(texts)


def forget_pictures() -> None:
    """Let the host make its icons anew: those of a window that is gone cannot be drawn in another."""
    from pyworkflow.gui import gui

    gui.image_cache.clear()


class Workflow:
    """simulate, train and analyze, run once in a project of their own; tests enter it with `inside`."""

    N, BOX, STATES, CLASSES = 240, 32, 6, 3

    def __init__(self):
        with _working_folder_kept():
            self.project = create_project("workflow")
            self.simulated = self._run("ProtHetSimulate", nParticles=self.N, box=self.BOX, states=self.STATES, snr=0.5)
            self.trained = self._run("ProtHetTrain", self.simulated, zDim=2, iterations=3, nComponents=4)
            self.analyzed = self._run(
                "ProtHetAnalyze", self.trained, clusters=self.CLASSES, components=1, steps=3, umap=False
            )

    @contextmanager
    def inside(self):
        """The working folder in the project while the block runs."""
        with _working_folder_kept():
            os.chdir(self.project.path)
            yield self

    def _run(self, name, source=None, **values):
        inputs = {"inputParticles": (source, "outputParticles")} if source else None
        protocol = run(self.project, new_protocol(self.project, name, inputs, **values))
        assert protocol.isFinished(), logs(protocol)
        return protocol
