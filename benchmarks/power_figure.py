"""The picture of what `power.py` has measured: how well particles are told apart by the mass of the part they lack.

python benchmarks/power_figure.py benchmarks/results/power.json docs/images/power.png
"""

import json
import sys
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from cryodrgn_plugin.engine.analysis.figure_style import DISTINCT, FAINT, GREY, figure

CURVES = {
    "ideal_true_poses": ("ideal observer, true poses", DISTINCT[2], "--"),
    "ideal": ("ideal observer, poses given", DISTINCT[0], "-"),
    "recovar": ("RECOVAR 1.0.5", DISTINCT[1], "-"),
    "fast": ("fast", DISTINCT[5], "-"),
}
MARKERS = {"recovar": "D"}
"""It is run on some of the sets only."""


def power_figure(report: dict, file: Path) -> None:
    """One panel for every share of particles that lack the part."""
    parts = [cell for cell in report["cells"] if cell["mass"]]
    one_state = next(cell for cell in report["cells"] if not cell["mass"])
    shares = sorted({cell["absent"] for cell in parts})
    with figure(file, 7, 3) as page:
        for panel, absent in zip(page.subplots(1, len(shares), sharey=True), shares, strict=True):
            some = [cell for cell in parts if cell["absent"] == absent]
            draw(panel, some, one_state["smallest_part"][f"{absent:g}"])
            panel.set_title(f"absent from {absent:.0%} of the particles")
        panel.legend(loc="lower right")
        page.axes[0].set_ylabel("area under the ROC curve")


def draw(panel: Axes, cells: list[dict], smallest: float | None) -> None:
    cells = sorted(cells, key=lambda cell: cell["mass"])
    masses = [cell["mass"] for cell in cells]
    if smallest is not None:
        panel.axvspan(smallest, 1.0, color=FAINT, alpha=0.5, lw=0)
        panel.text(max(smallest, min(masses)) * 1.05, 0.7, "said to be seen", color=GREY, fontsize=8)
    panel.axhline(0.5, color=GREY, lw=0.8, ls=":")
    for name, (label, colour, dashes) in CURVES.items():
        known = [cell for cell in cells if name in cell["auc"]]
        points = [cell["mass"] for cell in known], [cell["auc"][name] for cell in known]
        if known:
            panel.plot(*points, color=colour, ls=dashes, marker=MARKERS.get(name), label=label)
        if name == "fast":
            for x, y, cell in zip(*points, known, strict=True):
                panel.plot(x, y, "o", color=colour, mfc=colour if cell["found"] else "white", ms=6, clip_on=False)
    panel.plot([], [], "o", color=GREY, mfc="white", ms=6, label="nothing found")
    panel.set_xscale("log")
    panel.set_xticks(masses, [f"{mass:.0%}" for mass in masses])
    panel.minorticks_off()
    panel.set_xlim(0.016, 0.2)
    panel.set_ylim(0.48, 1.0)
    panel.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    panel.set_xlabel("mass of the part, of the molecule's")


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    power_figure(json.loads(source.read_text(encoding="utf-8")), target)
