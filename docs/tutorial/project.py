"""The project of the tutorial: simulated ribosomes with junk among them, taken to a refined map of one state.

    python docs/tutorial/project.py FOLDER

makes it in FOLDER, or goes on where it stands; the pictures are then made by docs/tutorial/make.py.
"""

import os
import sys

from cryodrgn_plugin import scipion_home

PROJECT = "tutorial"
SIMULATED, CHECKED, TRAINED, ANALYZED, CHOSEN, REFINED = (
    "ribosomes", "are they in order?", "how do they differ?", "classes and maps", "one state, no junk", "its map"
)  # fmt: skip
"""What the runs of the project are called."""
VALUES = {
    SIMULATED: {"preset": 4, "nParticles": 3000, "box": 48, "junk": 0.1, "contrast": 0.15, "poseError": 1.5},
    CHECKED: {"box": 48},
    TRAINED: {"zDim": 4},
    ANALYZED: {"clusters": 4},
    CHOSEN: {"clusters": "2", "junk": True},
    REFINED: {"rounds": 2, "maxAngle": 4.0, "maxShift": 8.0, "followLatents": False},
}
STEPS = {
    SIMULATED: ("ProtHetSimulate", None),
    CHECKED: ("ProtHetPreflight", SIMULATED),
    TRAINED: ("ProtHetTrain", SIMULATED),
    ANALYZED: ("ProtHetAnalyze", TRAINED),
    CHOSEN: ("ProtHetSelect", ANALYZED),
    REFINED: ("ProtHetRefinePoses", CHOSEN),
}
"""Protocol of each run, and the run whose particles it takes."""


def open_project():
    """The project, made if absent, with the working folder in it."""
    from pyworkflow.project import Manager

    manager = Manager()
    there = manager.hasProject(PROJECT)
    project = manager.loadProject(PROJECT) if there else manager.createProject(PROJECT)
    os.chdir(project.path)
    for run in project.getRuns():
        project._updateProtocol(run)  # what became of it is in its own folder until somebody looks
    return project


def run_of(project, label: str):
    """The finished run of that name, or None."""
    return next((run for run in project.getRuns() if run.getObjLabel() == label and run.isFinished()), None)


def prepared(project, label: str):
    """A new protocol with its parameters and input set, not yet run."""
    from pwem import Domain

    name, source = STEPS[label]
    protocol = project.newProtocol(Domain.getProtocols()[name], **VALUES[label])
    protocol.setObjLabel(label)
    if source is not None:
        protocol.inputParticles.set(run_of(project, source))
        protocol.inputParticles.setExtended("outputParticles")
    protocol.numberOfThreads.set(int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1)))
    return protocol


def main(folder: str) -> None:
    """Run what has not been run."""
    scipion_home.use(folder)
    project = open_project()
    for label in STEPS:
        if run_of(project, label) is None:
            protocol = prepared(project, label)
            print(f"{label} …", flush=True)
            project.launchProtocol(protocol, wait=True)
            if not protocol.isFinished():
                raise SystemExit(f"{label} failed: {protocol.getErrorMessage()}")
            print("".join(f"    {line}\n" for line in protocol.summary()), end="", flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "tutorial")
