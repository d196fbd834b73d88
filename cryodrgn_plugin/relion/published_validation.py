"""What a validation publishes: the verdict, its page, and the particles with the confidence of each."""

from pathlib import Path

from ..engine.run import Run
from .findings import place, place_latents
from .output_nodes import OutputNode
from .published import Published

CONFIDENCE = "cryodrgnConfidence"


def publish_validation(run: Run, job: Path) -> Published:
    """The verdict in the log and as validation.html; particles.star has the latents and, of halves, the confidence."""
    from ..engine.validation.validation_page import TITLES

    found = run.results("validation")
    place(found.folder / found.index["files"]["page"], job / "validation.html")
    more = {CONFIDENCE: found.arrays["confidence"]} if found.arrays else {}
    place_latents(run, job, more)
    nodes = [OutputNode(f"{job}/logfile.pdf", "log"), OutputNode(f"{job}/particles.star", "particles")]
    verdict = found.index["verdict"]
    facts = [("Verdict", verdict["headline"])] + [("", sentence) for sentence in verdict["sentences"]]
    figures = [(TITLES[name], file) for name, file in found.figures.items()]
    return Published(nodes, facts, figures=figures, details={"verdict": verdict})
