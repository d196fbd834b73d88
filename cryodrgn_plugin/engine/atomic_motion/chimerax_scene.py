"""A ChimeraX script that shows the models in the maps they were laid into, coloured by part."""

from typing import Any

from ..analysis.chimerax import chimerax_script
from ..analysis.figure_style import class_colours
from .model_in_run import ModelInRun
from .part_table import residues_of


def scene_script(found: ModelInRun, index: dict[str, Any]) -> str:
    """The text of a .cxc file: maps as a series, the models as another, and the corrected map where there is one."""
    series = index["series"][0]
    maps = [("maps at the models", [entry["file"] for entry in series["maps"]], series["level"])]
    if "corrected" in index["files"]:
        maps.append(("all particles, motion undone", [index["files"]["corrected"]], index["corrected"]["level"]))
    number = len(maps) + 1
    lines = [f'open "{index["files"]["trajectory"]}" coordsets false', f"hide #{number} atoms", f"cartoon #{number}"]
    for part, colour in enumerate(class_colours(found.parts)):
        for words in residues_of(found, part).split(","):
            chain, _, span = words.partition(":")
            lines.append(f"color #{number}/{chain}:{span} {colour}")
    lines += ["transparency #1 60", f"mseries slider #{number}.1-{len(series['maps'])}"]
    return chimerax_script(maps) + "\n".join([*lines, ""])
