"""What a validation publishes: the verdict, its page, and the particles with the confidence of each."""

import json
from pathlib import Path

from ..engine.files import read_arrays
from ..engine.run import Run
from .findings import place, place_latents
from .output_nodes import OutputNode
from .published import Published

CONFIDENCE = "cryodrgnConfidence"


def publish_validation(run: Run, job: Path) -> Published:
    """The verdict in the log and as validation.html; particles.star has the latents and, of halves, the confidence."""
    from ..engine.validation.validation_page import TITLES

    folder = run.validation_dir
    index = json.loads((folder / "validation.json").read_text(encoding="utf-8"))
    place(folder / index["files"]["page"], job / "validation.html")
    more = {}
    if "confidence" in index["files"]:
        more = {CONFIDENCE: read_arrays(folder / index["files"]["confidence"])["confidence"]}
    place_latents(run, job, more)
    nodes = [OutputNode(f"{job}/logfile.pdf", "log"), OutputNode(f"{job}/particles.star", "particles")]
    verdict = index["verdict"]
    facts = [("Verdict", verdict["headline"])] + [("", sentence) for sentence in verdict["sentences"]]
    figures = [(TITLES[name], folder / file) for name, file in index["figures"].items()]
    return Published(nodes, facts, figures=figures, details={"verdict": verdict})
