"""One External job from arguments to exit marker: which child processes it consists of, and how their end is told."""

import json
import sys
from pathlib import Path

from ..engine.errors import DataError
from ..engine.options import as_flags, as_words
from ..engine.run import Run
from ..engine.run_layout import RunLayout
from .arguments import JobArguments, parse_arguments
from .markers import JobMarkers
from .output_nodes import OUTPUT_NODES
from .supervisor import STOPPED_BY_SIGNAL, Outcome, Stage, Supervisor, tell
from .tasks import TASKS, takes_mask
from .training_run import other_runs, run_folder, training_job
from .version import relion_version

_ENGINE = [sys.executable, "-m", "cryodrgn_plugin.engine.cli"]
_RESULTS = [sys.executable, "-m", "cryodrgn_plugin.relion.job_results"]
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def run_job(argv: list[str], markers: JobMarkers) -> int:
    """Do what RELION asked for and leave the marker. Returns the exit code.

    Raises ConfigError or DataError for arguments and inputs that cannot be used.
    """
    arguments = parse_arguments(argv)
    version = relion_version(Path("."), arguments.relion_version, arguments.job)
    (arguments.job / OUTPUT_NODES).unlink(missing_ok=True)
    if not Path(arguments.particles).exists():
        raise DataError(f"There is no file {arguments.particles}; choose the particles again on the Input tab.")
    for sentence in _unused_inputs(arguments):
        tell(f"{sentence}\n")
    stages = _STAGES.get(arguments.task, looking_stages)(arguments, version)
    threads = dict.fromkeys(_THREAD_VARIABLES, str(arguments.threads))
    outcome = Supervisor(markers.abort_requested, environment=threads).run(stages)
    return _leave_marker(outcome, markers)


def _unused_inputs(arguments: JobArguments) -> list[str]:
    """What to say of files on the Input tab that the task has no use for."""
    unused = []
    if arguments.reference:
        unused.append(f"The input reference ({arguments.reference}) is not used by this job.")
    if arguments.mask and not takes_mask(arguments.task):
        unused.append(f"The input mask ({arguments.mask}) is not used by this job.")
        if TASKS[arguments.task].trains:
            unused.append("To look at what lies inside of it only, give it as the label closed_form.focus.")
    return unused


def train_stages(arguments: JobArguments, version: str) -> list[Stage]:
    """Training, then (unless left out) clusters and maps, then the files for RELION."""
    run = run_folder(arguments.job)
    analysis = [_analysis_stage(arguments, run)] if arguments.analysis else []
    return [_training_stage(arguments, run), *analysis, _results_stage(arguments, run, version)]


def ab_initio_stages(arguments: JobArguments, version: str) -> list[Stage]:
    """Poses and maps from nothing; clusters of the latent space, where one was asked for; then the files for RELION."""
    run = run_folder(arguments.job)
    analysis = [_analysis_stage(arguments, run)] if _has_clusters(arguments) else []
    return [_search_stage(arguments, run), *analysis, _results_stage(arguments, run, version)]


def looking_stages(arguments: JobArguments, version: str) -> list[Stage]:
    """What the task looks for in the run of an earlier job, then the files for RELION."""
    run, task = run_folder(arguments.job), TASKS[arguments.task]
    Run.borrow(run_folder(training_job(arguments)), run, task.makes)
    others = list(map(str, other_runs(arguments)))
    words = [arguments.task, str(run), *([] if task.others else others)]
    words += as_flags({**arguments.options, **task.fixed}, task.options)
    words += ["--resume"] if task.resumes else []
    words += ["--out", str(arguments.job / task.out)] if task.out else []
    words += [task.others, *others] if task.others and others else []
    return [Stage(task.title, [*_ENGINE, *words]), _results_stage(arguments, run, version)]


def preflight_stages(arguments: JobArguments, version: str) -> list[Stage]:
    """The verdicts on the particles, then the files for RELION."""
    out = run_folder(arguments.job)
    flags = as_flags(arguments.options, TASKS["preflight"].options)
    command = [*_ENGINE, "preflight", arguments.particles, "--out", str(out), *flags]
    return [Stage("Preflight", command), _results_stage(arguments, out, version)]


def reconstruct_stages(arguments: JobArguments, version: str) -> list[Stage]:
    """The map, then the files for RELION."""
    out = run_folder(arguments.job)
    flags = as_flags(arguments.options, TASKS["reconstruct"].options) + _setting_words(arguments)
    command = [*_ENGINE, "reconstruct", arguments.particles, "--out", str(out), *flags]
    return [Stage("Reconstruction", command), _results_stage(arguments, out, version)]


def import_stages(arguments: JobArguments, version: str) -> list[Stage]:
    """What another program has made, as a run; then the files for RELION. It is done anew when the job goes on."""
    run = run_folder(arguments.job)
    source = [arguments.particles]
    if arguments.training:
        source = [arguments.training, "--particles", arguments.particles]
    flags = as_flags(arguments.options, TASKS["import"].options)
    command = [*_ENGINE, "import", *source, "--out", str(run), *flags, "--overwrite"]
    return [Stage("Import", command), _results_stage(arguments, run, version)]


_STAGES = {
    "train": train_stages,
    "abinitio": ab_initio_stages,
    "preflight": preflight_stages,
    "reconstruct": reconstruct_stages,
    "import": import_stages,
}
"""Tasks that need no earlier job."""


def _training_stage(arguments: JobArguments, run: Path) -> Stage:
    return Stage("Training", [*_ENGINE, "train", *_run_words(arguments, run)])


def _search_stage(arguments: JobArguments, run: Path) -> Stage:
    wanted = ["--homogeneous"] if arguments.homogeneous else []
    wanted += ["--species", arguments.species] if arguments.species else []
    return Stage("Search for poses", [*_ENGINE, "abinitio", *_run_words(arguments, run), *wanted])


def _run_words(arguments: JobArguments, run: Path) -> list[str]:
    """Particles, run folder and settings; an earlier run of the job is taken up."""
    again = "--resume" if RunLayout(run).has_progress() else "--overwrite"
    return [arguments.particles, "--out", str(run), *_setting_words(arguments), again]


def _setting_words(arguments: JobArguments) -> list[str]:
    """The engine's settings that were given, as arguments."""
    return [word for name, value in arguments.settings.items() for word in as_words(name, value)]


def _has_clusters(arguments: JobArguments) -> bool:
    """Whether the job makes clusters and maps: not without a latent space that poses were searched with."""
    is_rigid = arguments.homogeneous or arguments.settings.get("z_dim") == "0"
    trains = TASKS[arguments.task].trains and arguments.analysis
    return trains and not (arguments.task == "abinitio" and is_rigid)


def _analysis_stage(arguments: JobArguments, run: Path) -> Stage:
    flags = as_flags(arguments.options, TASKS["analyze"].options)
    return Stage("Analysis", [*_ENGINE, "analyze", str(run), *flags])


def _results_stage(arguments: JobArguments, run: Path, version: str) -> Stage:
    request = {
        "task": arguments.task,
        "job": str(arguments.job),
        "run": str(run),
        "relion_version": version,
        "clusters": arguments.task in ("analyze", "landscape") or _has_clusters(arguments),
    }
    return Stage("Results for RELION", [*_RESULTS, json.dumps(request)])


def _leave_marker(outcome: Outcome, markers: JobMarkers) -> int:
    if outcome.kind == "finished":
        markers.succeed()
        return 0
    if not outcome.already_said:
        tell(f"{outcome.sentence}\n", "stderr")
    if outcome.kind == "stopped":
        markers.abort(outcome.sentence)
        return STOPPED_BY_SIGNAL
    markers.fail(outcome.sentence)
    return 1
