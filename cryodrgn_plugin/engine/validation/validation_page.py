"""The page of a validation: one HTML file with its figures inside, the verdict first and in plain words."""

import base64
import shutil
from collections.abc import Callable
from html import escape
from importlib import resources
from pathlib import Path
from string import Template

from ..analysis.direction_plots import direction_figure
from ..analysis.figure_style import DPI
from ..io.writing import write_text
from ..report_writer import Report
from ..run import Run
from ..run_origin import made_by
from . import validation_figures
from .state_populations import StatePopulations
from .validation_findings import Findings
from .validation_options import ValidateOptions
from .verdict import FOUND, NONE, PARTIAL, UNTESTED, Verdict

SCREEN_DPI = 96
"""Pixels of a page to the inch."""
MARKS = {FOUND: "✓", PARTIAL: "!", NONE: "∅", UNTESTED: "?"}
TITLES = {
    "chance": "Is there heterogeneity?",
    "halves": "Do two halves agree?",
    "leakage": "Does the latent space hold something else?",
    "directions": "Is the map known in all directions?",
    "populations": "How many particles are in each state?",
    "consensus": "Do other runs agree?",
    "model": "Do the maps agree with the atomic model?",
}
EXPLANATIONS = {
    "chance": """The particles were parted into two halves and the whole training was run on each. If the molecule comes
in states, the states of one half make the images of the other, which it never saw, likelier than their average does.
What chance gives is measured on the same images: what the average map leaves of each image is dealt to other particles,
so that the noise stays as it is and a molecule's state ends up under a wrong pose. Differences in brightness do not
count.""",
    "halves": """Both halves then placed every particle. Their axes mean nothing by themselves, so directions are
matched first. Confidence is how much nearer the two places of a particle are than those of different particles: 1 for
the same place, 0 for chance. Particles are chosen by it with <code>select --where "confidence &gt; 0.8"</code>.""",
    "leakage": """Each quantity is compared between the states, every particle counted in each state as much as its
image says: seen from any side, at any defocus, the states should be as frequent. The contrast of an image is its
amplitude along the map of its state, times how much brighter that map is as a whole. Circles show how well neighbours
in the latent space predict a quantity; that may be a few tens of per cent honestly, because an image that tells less
lies nearer the middle.""",
    "directions": """How far the mean maps of the two halves agree along each direction of Fourier space. Views that are
missing leave directions that no image has seen: maps are drawn out along them, and what differs there cannot be
seen.""",
    "populations": """Counted by label, and as the populations that make the images likeliest given the map of each
state, which overlap between states does not bias. Intervals come from drawing particles anew, when they are counted in
whole micrographs. They hold for the states as they are: how states are drawn is a choice.""",
    "consensus": """Correlations of matched directions with the latent spaces of other runs of the same particles.""",
    "model": """A model can be laid into any map, so it is held against maps that the images near each state make
without it, in halves: where these tell each other better than the model tells them, it is flagged. The model as it was
given is asked as well: which of its domains lie in no particle where it has them. More is in <code>atoms</code>.""",
}


def write_page(page_file: Path, run: Run, findings: Findings, options: ValidateOptions, out: Report) -> None:
    """Draw the figures and write the page that shows them."""
    drawn = _draw(findings, options, out)
    sections = "\n".join(_section(name, file, findings, options) for name, file in drawn.items())
    created = run.info["provenance"]
    page = resources.files("cryodrgn_plugin.engine").joinpath("resources", "validation.html")
    template = Template(page.read_text(encoding="utf-8"))
    text = template.substitute(
        outcome=findings.verdict.outcome,
        mark=MARKS[findings.verdict.outcome],
        headline=escape(findings.verdict.headline),
        sentences=_items(findings.verdict),
        run=escape(run.path.resolve().name),
        what=escape(f"{run.config.particles}: {findings.particles:,} particles, {made_by(run.config, run.info)}"),
        version=escape(str(created["version"])),
        sections=sections,
        options=_options(options),
    )
    write_text(page_file, text)


def _draw(findings: Findings, options: ValidateOptions, out: Report) -> dict[str, Path]:
    """The figures there is data for, by name."""
    wanted: dict[str, Callable[[Path], object]] = {}
    if halves := findings.halves:
        wanted["chance"] = lambda file: validation_figures.chance_figure(file, halves.test)
        wanted["halves"] = lambda file: validation_figures.halves_figure(file, halves.agreement, halves.confidence)
    if findings.leaks:
        wanted["leakage"] = lambda file: validation_figures.leakage_figure(file, findings.leaks, options.significance)
    if directions := findings.directions:
        wanted["directions"] = lambda file: direction_figure(file, directions)
    if states := findings.states:
        wanted["populations"] = lambda file: validation_figures.population_figure(file, states)
    if findings.others:
        wanted["consensus"] = lambda file: validation_figures.consensus_figure(file, findings.others)
    if findings.model and (figure := findings.model.figure):
        wanted["model"] = lambda file: shutil.copyfile(figure, file)
    drawn = {name: out.figure(name) for name in wanted}
    for name, draw in wanted.items():
        draw(drawn[name])
    return drawn


def _section(name: str, file: Path, findings: Findings, options: ValidateOptions) -> str:
    content = file.read_bytes()
    image, width = base64.b64encode(content).decode(), round(_width_px(content) * SCREEN_DPI / DPI)
    table = _population_table(findings.states, options) if name == "populations" and findings.states else ""
    return (
        f'<section id="{name}">\n<h2>{escape(TITLES[name])}</h2>\n'
        f'<img alt="{escape(TITLES[name])}" width="{width}" src="data:image/png;base64,{image}">\n{table}'
        f"<p>{EXPLANATIONS[name]}</p>\n</section>"
    )


def _width_px(png: bytes) -> int:
    """Width of a PNG image, which its header states."""
    return int.from_bytes(png[16:20], "big")


def _population_table(states: StatePopulations, options: ValidateOptions) -> str:
    rows = []
    for k in range(len(states.counted.share)):
        both = (states.counted, states.likely)
        cells = [
            f"{populations.share[k]:.1%} ({populations.low[k]:.1%} – {populations.high[k]:.1%})" for populations in both
        ]
        rows.append(f"<tr><td>{k + 1}</td><td>{cells[0]}</td><td>{cells[1]}</td></tr>")
    head = f"<tr><th>state</th><th>counted ({options.level:.0%} interval)</th><th>by likelihood</th></tr>"
    return f"<table>\n{head}\n" + "\n".join(rows) + "\n</table>\n"


def _items(verdict: Verdict) -> str:
    return "\n".join(f"<li>{escape(sentence)}</li>" for sentence in verdict.sentences)


def _options(options: ValidateOptions) -> str:
    return ", ".join(f"{escape(name)} = {escape(str(value))}" for name, value in vars(options).items())
