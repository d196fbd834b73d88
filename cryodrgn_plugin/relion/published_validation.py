"""What a validation publishes: the verdict, its page, and the particles with the confidence of each."""

from pathlib import Path

from ..engine.run import Run
from .findings import particle_nodes, place, place_latents
from .output_nodes import OutputNode
from .published import Published

CONFIDENCE = "cryodrgnConfidence"


def publish_validation(run: Run, job: Path) -> Published:
    """The verdict in the log and as validation.html; particles.star has the latents and, of halves, the confidence."""
    from ..engine.validation.validation_page import TITLES

    validation = run.results("validation")
    place(validation.folder / validation.index["files"]["page"], job / "validation.html")
    more = {CONFIDENCE: validation.arrays["confidence"]} if validation.arrays else {}
    place_latents(run, job, more)
    nodes = [OutputNode(f"{job}/logfile.pdf", "log"), *particle_nodes(job, "particles.star")]
    verdict = validation.index["verdict"]
    facts = [("Verdict", verdict["headline"])] + [("", sentence) for sentence in verdict["sentences"]]
    figures = [(TITLES[name], file) for name, file in validation.figures.items()]
    return Published(nodes, facts, figures=figures, details={"verdict": verdict})
