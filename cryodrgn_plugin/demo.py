"""`python -m cryodrgn_plugin.demo --folder demo`: from nothing to maps of a moving molecule, in a real Scipion project.

Adenylate kinase opens and closes in simulated particles; the project finds the motion without being told, and what it
found is compared with what was planted. Scipion's own files, the project included, stay in the folder.
"""

import argparse
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from . import scipion_home

PROJECT = "demo"
LEAST_AGREEMENT = 0.9
"""Rank correlation with the planted motion below which the demonstration has failed."""


def main(arguments: list[str] | None = None) -> int:
    """Run the demonstration; gives 0 when the motion that was found is the planted one, else 1."""
    args = _parse(arguments)
    folder = Path(args.folder).resolve()
    scipion_home.use(folder)
    if args.show:
        return _show()
    began = time.monotonic()
    project, runs = _run_workflow(args)
    agreement = _report(project, runs, folder, time.monotonic() - began)
    if args.window and os.environ.get("DISPLAY") and not os.environ.get("CI"):
        # In a process of its own, so that this one ends; the window stays until it is closed.
        subprocess.Popen(
            [sys.executable, "-m", "cryodrgn_plugin.demo", "--folder", str(folder), "--show"], start_new_session=True
        )
    return 0 if agreement >= LEAST_AGREEMENT else 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m cryodrgn_plugin.demo", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", default="demo", help="folder for everything that is made (demo)")
    parser.add_argument("--particles", type=int, default=5000, help="particles to simulate (5000)")
    parser.add_argument("--box", type=int, default=64, help="their box in pixels (64)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the simulation and of the training (0)")
    parser.add_argument(
        "--no-window", dest="window", action="store_false", help="leave the explorer closed although there is a screen"
    )
    parser.add_argument("--show", action="store_true", help="open the explorer of a demonstration that was run before")
    return parser.parse_args(arguments)


def _show() -> int:
    """The explorer over the analysis of the project, until it is closed."""
    from pyworkflow.project import Manager

    from .viewers import HetExplorerViewer

    project = Manager().loadProject(PROJECT)
    os.chdir(project.path)
    analyzed = next((run for run in project.getRuns() if run.getClassName() == "ProtHetAnalyze"), None)
    if analyzed is None:
        print("There is no finished demonstration in this folder; run it without --show first.", file=sys.stderr)
        return 2
    HetExplorerViewer(project=project, protocol=analyzed).open_window(analyzed).show()
    return 0


def _run_workflow(args: argparse.Namespace):
    """A new project with the three protocols run in it; the protocols by name."""
    from pwem import Domain
    from pyworkflow.project import Manager

    protocols, manager = Domain.getProtocols(), Manager()
    if manager.hasProject(PROJECT):
        manager.deleteProject(PROJECT)
    project = manager.createProject(PROJECT)
    os.chdir(project.path)

    def run(name: str, source=None, **values):
        protocol = project.newProtocol(protocols[name], **values)
        if source is not None:
            protocol.inputParticles.set(source)
            protocol.inputParticles.setExtended("outputParticles")
        began = time.monotonic()
        print(f"{protocol.getClassLabel()} …", flush=True)
        project.launchProtocol(protocol, wait=True)
        if not protocol.isFinished():
            raise SystemExit(f"{protocol.getClassLabel()} failed: {protocol.getErrorMessage()}")
        print("".join(f"    {line}\n" for line in protocol.summary()), end="")
        print(f"    {time.monotonic() - began:.0f} s", flush=True)
        return protocol

    simulated = run("ProtHetSimulate", nParticles=args.particles, box=args.box, seed=args.seed)
    trained = run("ProtHetTrain", simulated, seed=args.seed)
    analyzed = run("ProtHetAnalyze", trained)
    return project, (simulated, trained, analyzed)


def _report(project, runs, folder: Path, seconds: float) -> float:
    """Print what was found; gives its rank correlation with what was planted."""
    from .engine.run import Run

    simulated, trained, analyzed = runs
    analysis = Run.open(Path(project.path) / analyzed.getRunFolder()).results("analysis")
    maps = sum(len(series["maps"]) for series in analysis.all_series)
    agreement = abs(rank_correlation(*coordinates(simulated, trained)))
    script = _write_opener(project, folder)
    print(f"""
what was planted   adenylate kinase from open to closed, {simulated.nParticles.get():,} particles, every state alike
what was found     a motion along one curve; its order agrees with the planted one at |Spearman| = {agreement:.3f}
maps               {maps}, and {analyzed.outputClasses.getSize()} classes as Scipion objects
figures            {analysis.figures["summary"].parent}
time               {seconds:.0f} s

Open the project in Scipion, choose *analyze heterogeneity* and press Analyze Results:
  sh {script}
""")
    return agreement


def _write_opener(project, folder: Path) -> Path:
    """A script that opens the project in Scipion's own window."""
    variables = scipion_home.environment(folder)
    lines = ["#!/bin/sh", *(f"export {name}={shlex.quote(value)}" for name, value in variables.items())]
    lines.append(f"exec {shlex.quote(sys.executable)} -O -m scipion project {shlex.quote(project.getShortName())}")
    script = folder / "open-project.sh"
    script.write_text("\n".join(lines) + "\n")
    return script


def coordinates(simulated, trained):
    """(planted, found) position along the motion of every particle, matched by particle id."""
    import numpy as np

    from .convert import latents_by_id
    from .engine.run import Run

    with np.load(simulated._getExtraPath("truth.npz")) as truth:
        planted = truth["coordinate"]
    found = latents_by_id(Run.open(trained.getRunFolder()))
    # Simulated particles are numbered from 1 in the order of the truth table.
    ids = sorted(found.place)
    places = [found.place[object_id] for object_id in ids]
    position = found.latents.coordinate if found.latents.coordinate is not None else found.latents.z[:, 0]
    return planted[np.array(ids) - 1], position[places]


def rank_correlation(first, second) -> float:
    """Spearman's rank correlation."""
    from scipy.stats import spearmanr

    return float(spearmanr(first, second).statistic)


if __name__ == "__main__":
    sys.exit(main())
