"""A ChimeraX script that opens the maps of an analysis, one slider per series, at a level that shows the particle."""

from collections.abc import Sequence

COLOUR = "#7aa6c2"


def chimerax_script(series: Sequence[tuple[str, Sequence[str], float]]) -> str:
    """The text of a .cxc file.

    Parameters
    ----------
    series : (title, files relative to the script, surface level) of each; the first one is shown.
    """
    lines = ["# Open in ChimeraX from the folder this file is in.", "set bgColor white", "lighting soft"]
    for number, (title, files, level) in enumerate(series, start=1):
        names = " ".join(f'"{file}"' for file in files)
        lines += [
            f"# {title}",
            f"open {names} vseries true",
            f"volume #{number} style surface level {level:.6g} step 1 color {COLOUR}",
            f'rename #{number} "{title}"',
        ]
        if number > 1:
            lines.append(f"hide #{number} models")
    return "\n".join([*lines, "view", ""])
