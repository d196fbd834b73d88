"""A scheme for RELION: training, analysis and selection as one row of External jobs that RELION runs by itself.

RELION 3.1 calls it a schedule and looks for it in Schedules/, RELION 4 and 5 call it a scheme and look in Schemes/; the
tables are the same but for that word. Its variables can be changed in RELION's window before it is run.

    cryodrgn-plugin-relion scheme --particles Refine3D/job010/run_data.star
"""

import argparse
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..engine.config import RunConfig
from ..engine.errors import ConfigError, EngineError
from ..engine.files import replacing_folder, write_text
from ..engine.options import AnalysisOptions
from .version import VERSIONS, relion_version

_END = "EXIT"


@dataclass(frozen=True)
class Step:
    """One job of a scheme."""

    name: str
    task: str
    particles: str
    """A variable, or the output of an earlier step as STEP/FILE."""
    labels: Mapping[str, str]


STEPS = (
    Step("train", "train", "$$particles", {"z_dim": "$$z_dim", "analysis": "no"}),
    Step("analyze", "analyze", "train/particles.star", {"clusters": "$$clusters"}),
    Step("select", "select", "analyze/particles.star", {"clusters": "$$chosen"}),
)


def main(argv: Sequence[str]) -> int:
    """Write the scheme into the project in the working folder and say how it is run; the exit code."""
    given = _parser().parse_args(argv)
    try:
        version = relion_version(Path("."), given.relion_version)
        folder = write_scheme(Path("."), given.name, version, vars(given))
    except EngineError as error:
        print(f"cryodrgn-plugin-relion: {error}", file=sys.stderr)
        return 2
    program = "relion_scheduler --schedule" if version == "3.1" else "relion_schemer --scheme"
    print(f"{folder}/ is written. Run it in RELION's window, or by {program} {given.name} --run")
    return 0


def write_scheme(project: Path, name: str, version: str, values: Mapping[str, object]) -> Path:
    """Write the scheme `name` with these values of its variables; returns its folder, relative to the project.

    Raises ConfigError for a name that is no folder's, and where there is such a scheme already.
    """
    word = "Schedule" if version == "3.1" else "Scheme"
    folder = Path(f"{word}s") / name
    if not name.isidentifier():
        raise ConfigError(f"The scheme's name is {name[:50]!r}; give it letters, digits and underscores.")
    if (project / folder).exists():
        raise ConfigError(f"There is a scheme {folder}/ already; remove it, or choose another name (--name).")
    with replacing_folder(project / folder) as written:
        for step in STEPS:
            write_text(written / step.name / "job.star", _job_star(step, folder, str(values["program"])))
        if version == "3.1":
            write_text(written / "schedule_pipeline.star", _pipeline_star(folder))
        write_text(written / f"{word.lower()}.star", _scheme_star(word, folder, values))
    return folder


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cryodrgn-plugin-relion scheme", description=__doc__, allow_abbrev=False)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--particles", required=True, metavar="FILE", help="particles with poses and CTF")
    parser.add_argument("--name", default="heterogeneity", help="of the scheme (%(default)s)")
    parser.add_argument("--z_dim", type=int, default=RunConfig.z_dim, metavar="N", help="as in training (%(default)s)")
    parser.add_argument(
        "--clusters", type=int, default=AnalysisOptions.clusters, metavar="N", help="as in analysis (%(default)s)"
    )
    parser.add_argument("--chosen", default="1", metavar="N,N", help="clusters that are selected (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of every job (%(default)s)")
    parser.add_argument("--relion_version", default="auto", metavar="|".join(VERSIONS), help="as for jobs (auto)")
    parser.add_argument("--program", default=_this_program(), metavar="FILE", help="our executable (%(default)s)")
    return parser


def _this_program() -> str:
    """The executable beside this Python, which RELION may not find on its own path."""
    beside = Path(sys.executable).parent / "cryodrgn-plugin-relion"
    return str(beside) if beside.exists() else shutil.which("cryodrgn-plugin-relion") or "cryodrgn-plugin-relion"


def _job_star(step: Step, folder: Path, program: str) -> str:
    """The job as RELION's window writes it. The task is a label, for a variable is a whole value."""
    particles = step.particles if step.particles.startswith("$$") else f"{folder}/{step.particles}"
    options = {"fn_exe": f'"{program}"', "in_part": particles, "nr_threads": "$$threads", "do_queue": "No"}
    options["other_args"] = '""'
    for number, (label, value) in enumerate({"task": step.task, **step.labels}.items(), start=1):
        options |= {f"param{number}_label": label, f"param{number}_value": value}
    job = {"_rlnJobType": "99", "_rlnJobTypeLabel": "relion.external", "_rlnJobIsContinue": "0", "_rlnJobIsTomo": "0"}
    values = _loop("joboptions_values", ("_rlnJobOptionVariable", "_rlnJobOptionValue"), options.items())
    return _pairs("job", job) + values


def _scheme_star(word: str, folder: Path, values: Mapping[str, object]) -> str:
    """Variables, jobs and their order; `word` is Schedule or Scheme."""
    start, mark = f"_rln{word}", word.lower()
    variable = ("Name", "Value", "ResetValue")
    numbers = [(name, *[f"{values[name]:.6f}"] * 2) for name in ("z_dim", "clusters", "threads")]
    texts = [(name, *[str(values[name])] * 2) for name in ("particles", "chosen")]
    order = [*(step.name for step in STEPS), _END]
    edges = [(before, after, "0", "undefined", "undefined") for before, after in pairwise(order)]
    edge = ("InputNodeName", "OutputNodeName", "IsFork", "OutputNodeNameIfTrue", "BooleanVariable")
    operator = ("Name", "Type", "Output", "Input1", "Input2")
    jobs = [(step.name, step.name, "new", "0") for step in STEPS]
    job = ("NameOriginal", "Name", "Mode", "HasStarted")
    general = {f"{start}Name": f"{folder}/", f"{start}CurrentNodeName": STEPS[0].name}
    return _pairs(f"{mark}_general", general) + "".join(
        _loop(f"{mark}_{block}", [f"{start}{what}{column}" for column in columns], rows)
        for block, what, columns, rows in (
            ("floats", "FloatVariable", variable, numbers),
            ("strings", "StringVariable", variable, texts),
            ("operators", "Operator", operator, [(_END, "exit", *["undefined"] * 3)]),
            ("jobs", "Job", job, jobs),
            ("edges", "Edge", edge, edges),
        )
    )


def _pipeline_star(folder: Path) -> str:
    """The jobs of a schedule as RELION 3.1 knows them: scheduled External jobs, and what each takes from which.

    Where a job names the output of another, RELION looks here for the job that has made it, and puts in its number.
    """
    made = [(f"{folder}/{step.particles}", step) for step in STEPS if not step.particles.startswith("$$")]
    process, node, edge = "_rlnPipeLineProcess", "_rlnPipeLineNode", "_rlnPipeLineEdge"
    processes = [(f"{folder}/{step.name}/", "None", "99", "1") for step in STEPS]
    return "".join(
        (
            _pairs("pipeline_general", {"_rlnPipeLineJobCounter": str(len(STEPS) + 1)}),
            _loop(
                "pipeline_processes", [f"{process}{name}" for name in ("Name", "Alias", "Type", "Status")], processes
            ),
            _loop("pipeline_nodes", [f"{node}Name", f"{node}Type"], [(file, "3") for file, _ in made]),
            _loop(
                "pipeline_input_edges",
                [f"{edge}FromNode", f"{edge}Process"],
                [(file, f"{folder}/{step.name}/") for file, step in made],
            ),
            _loop(
                "pipeline_output_edges",
                [f"{edge}Process", f"{edge}ToNode"],
                [(f"{Path(file).parent}/", file) for file, _ in made],
            ),
        )
    )


def _pairs(block: str, values: Mapping[str, str]) -> str:
    lines = [f"{label} {value}" for label, value in values.items()]
    return "\n".join(["", "# version 30001", "", f"data_{block}", "", *lines, "", ""])


def _loop(block: str, labels: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = [f"{label} #{number}" for number, label in enumerate(labels, start=1)]
    lines = [" ".join(row) for row in rows]
    return "\n".join(["", "# version 30001", "", f"data_{block}", "", "loop_", *columns, *lines, "", ""])
