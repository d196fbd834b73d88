"""The jobs that CCP-EM's pipeliner finds by their entry points, one for each task of RELION's External job.

A job runs `cryodrgn-plugin-relion`, which supervises the engine, writes particle files and maps under the names that a
RELION user expects, and says in job.json what it has made. So a form is all that is made here, and it is made from the
settings. The program may lie in another environment than the pipeliner; it is looked for on PATH.
"""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from pipeliner.data_structure import (
    NODE_ATOMCOORDS,
    NODE_DENSITYMAP,
    NODE_IMAGE3D,
    NODE_LOGFILE,
    NODE_MASK3D,
    NODE_OPTIMISERDATA,
    NODE_PARTICLEGROUPMETADATA,
    NODE_TOMOOPTIMISATIONSET,
)
from pipeliner.external_program_utils import ExternalProgram
from pipeliner.job_options import FileDescription, InputNodeJobOption, JobOption, JobOptionValidationResult
from pipeliner.node_factory import create_node
from pipeliner.nodes import Node
from pipeliner.pipeliner_job import PipelinerCommand, PipelinerJob, Ref
from pipeliner.results_display_objects import ResultsDisplayObject

from .. import __version__
from ..engine.errors import EngineError
from ..relion.arguments import parse_arguments
from ..relion.tasks import TASKS, takes_mask
from .pipeliner_fields import MAIN, field_name, fields_of, words_of
from .pipeliner_results import displayed, what_was_made

PROGRAM = "cryodrgn-plugin-relion"
PREFIX = "cryodrgn_plugin"
"""Of the names of the jobs."""
_NODES = {
    "particles": (NODE_PARTICLEGROUPMETADATA, ["relion"]),
    "optimisation set": (NODE_TOMOOPTIMISATIONSET, ["relion"]),
    "map": (NODE_DENSITYMAP, [PREFIX]),
    "half-map": (NODE_DENSITYMAP, [PREFIX, "halfmap"]),
    "mask": (NODE_MASK3D, [PREFIX]),
    "local resolution": (NODE_IMAGE3D, [PREFIX, "localresmap"]),
    "log": (NODE_LOGFILE, [PREFIX]),
    "model": (NODE_ATOMCOORDS, [PREFIX]),
    "class optimiser": (NODE_OPTIMISERDATA, ["relion"]),
}
"""Kind of a file to the type and the keywords of its node. Jobs of RELION ask for particles and classes with the
keyword relion; those of classes by their optimiser file, so that their model file is no node."""
_REFERENCES = (
    Ref(
        authors=["Kimanius D", "Jamali K", "Scheres SHW"],
        title="Sparse Fourier Backpropagation in Cryo-EM Reconstruction",
        journal="Advances in Neural Information Processing Systems",
        year="2022",
        volume="35",
    ),
    Ref(
        authors=["Zhong ED", "Bepler T", "Berger B", "Davis JH"],
        title="CryoDRGN: reconstruction of heterogeneous cryo-EM structures using neural networks",
        journal="Nature Methods",
        year="2021",
        volume="18",
        issue="2",
        pages="176-185",
        doi="10.1038/s41592-020-01049-4",
    ),
)


class HeterogeneityJob(PipelinerJob):
    """A task of ours in the pipeliner; each subclass names its task."""

    OUT_DIR = "Heterogeneity"
    CATEGORY_LABEL = "Heterogeneity"
    TASK = ""

    def __init__(self) -> None:
        super().__init__()
        task = TASKS[self.TASK]
        self.can_continue = True
        self.jobinfo.display_name = task.title
        self.jobinfo.short_desc = task.does
        self.jobinfo.long_desc = f"{task.does} docs/relion.md of the plugin says what the files are that come out."
        self.jobinfo.version = __version__
        self.jobinfo.job_author = "The cryodrgn-plugin authors"
        self.jobinfo.programs = [ExternalProgram(PROGRAM)]
        self.jobinfo.references = list(_REFERENCES)
        self._inputs, self._fields = _inputs_of(self.TASK), fields_of(self.TASK)
        self.joboptions |= self._inputs
        self.joboptions |= {field_name(label): option for label, option in self._fields.items()}
        self.get_runtab_options(threads=True, addtl_args=True)

    def additional_joboption_validation(self) -> list[JobOptionValidationResult]:
        """What the job itself would say of its arguments, before it is started."""
        try:
            parse_arguments(self._words())
        except EngineError as error:
            named = [option for label, option in self._fields.items() if label in str(error).split()]
            return [JobOptionValidationResult("error", named or [self.joboptions["in_parts"]], str(error))]
        return []

    def get_commands(self) -> list[PipelinerCommand]:
        return [PipelinerCommand([PROGRAM, *self._words()])]

    def _words(self) -> list[str]:
        """The arguments of the program, as RELION gives them."""
        words = [self.TASK, "--o", self.output_dir or "job/", *words_of(self._inputs), *words_of(self._fields)]
        return [*words, "--j", str(self.get_nr_threads()), *self.parse_additional_args()]

    # --- what comes out -------------------------------------------------------------------------------------------

    def create_output_nodes(self) -> None:
        """What every such job makes; a later job can be scheduled on it."""
        if TASKS[self.TASK].gives_particles:
            self.add_output_node("particles.star", *_NODES["particles"])
        self.add_output_node("logfile.pdf", *_NODES["log"])

    def create_post_run_output_nodes(self) -> None:
        """Files of clusters, states, species and their maps, whose number is known in the end."""
        known = {node.name for node in self.output_nodes}
        self.output_nodes += [node for node in self.get_current_output_nodes() if node.name not in known]

    def get_current_output_nodes(self) -> list[Node]:
        nodes = []
        for made in what_was_made(self.output_dir).get("nodes", []):
            if made["kind"] not in _NODES:
                continue
            kind, keywords = _NODES[made["kind"]]
            nodes.append(create_node(made["path"], kind, list(keywords), do_validation=False))
        return nodes

    def create_results_display(self) -> Sequence[ResultsDisplayObject]:
        return displayed(self.output_dir)

    def gather_metadata(self) -> dict[str, Any]:
        """What job.json says, settings included."""
        return what_was_made(self.output_dir)


def _inputs_of(task: str) -> dict[str, JobOption]:
    """The files that a task takes, by their label."""
    particles = InputNodeJobOption(
        label="Input particles",
        node_type=NODE_PARTICLEGROUPMETADATA,
        pattern=FileDescription("Particles STAR file", [".star"]),
        help_text="particles.star of an earlier job of this plugin, whose training is looked at."
        if TASKS[task].looks
        else "A particles or data STAR file with CTF, and with poses unless they are to be found.",
        is_required=True,
        jobop_group=MAIN,
    )
    if not takes_mask(task):
        return {"in_parts": particles}
    mask = InputNodeJobOption(
        label="Input mask",
        node_type=NODE_MASK3D,
        pattern=FileDescription("3D mask", [".mrc"]),
        help_text="A mask from another job. What else may be a mask, a sphere say, is given as mask below.",
        in_continue=True,
        jobop_group=MAIN,
    )
    return {"in_parts": particles, "in_mask": mask}


def _job_of(task: str) -> type[HeterogeneityJob]:
    names = {"TASK": task, "PROCESS_NAME": f"{PREFIX}.{task}", "__doc__": TASKS[task].does, "__module__": __name__}
    return type(f"{task.capitalize()}Job", (HeterogeneityJob,), names)


JOBS = SimpleNamespace(**{task: _job_of(task) for task in TASKS})
"""The job of each task; the entry points in pyproject.toml name them."""
