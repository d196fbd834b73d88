"""How a series of maps stands in an index file, analysis.json and its like; docs/run_folder.md explains the schema."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..io.writing import write_text
from .analysis_parts import MadeSeries
from .chimerax import chimerax_script
from .volumes import HalfAgreement, MadeMap


def series_entry(made: MadeSeries) -> dict[str, Any]:
    """A series and its maps, files relative to the folder that holds volumes/."""
    series = made.series
    maps = []
    for k, one in enumerate(made.maps):
        entry = {
            "file": f"volumes/{series.name}/{one.file.name}",
            "label": series.labels[k],
            "position": float(series.positions[k]),
            "z": numbers(series.z[k]),
            "level": float(one.level),
            **_agreement_entry("", one.whole),
            **_agreement_entry("moving_", one.moving),
            **_expected_entry(one),
        }
        if series.particles is not None:
            entry["particle"] = int(series.particles[k])
        maps.append(entry)
    return {"name": series.name, "title": series.title, "level": made.level, "maps": maps}


def write_chimerax(made: Sequence[MadeSeries], folder: Path, name: str) -> dict[str, str]:
    """Write the script `name` that opens the maps of all series; its part of the index's files."""
    entries = [(m.series.title, [relative(one.file, folder) for one in m.maps], m.level) for m in made]
    write_text(folder / name, chimerax_script(entries))
    return {"chimerax": name}


def relative(file: Path, folder: Path) -> str:
    """`file` as an index in `folder` names it."""
    return file.relative_to(folder).as_posix()


def numbers(values: np.ndarray) -> list[float]:
    """Values as an index holds them, with seven digits."""
    return [float(f"{value:.7g}") for value in np.asarray(values, float)]


def _agreement_entry(prefix: str, agreement: HalfAgreement | None) -> dict[str, Any]:
    known = agreement is not None
    return {
        f"{prefix}resolution_ang": agreement.resolution_ang if known else None,
        f"{prefix}fsc": numbers(agreement.fsc) if known else None,
    }


def _expected_entry(one: MadeMap) -> dict[str, Any]:
    """Agreement with the truth as far as it was measured, null elsewhere."""
    whole, moving = one.expected, one.moving_expected
    limits = one.expected_resolution_ang, one.moving_expected_resolution_ang
    return {
        "expected_fsc": None if whole is None else numbers(whole.fsc),
        "expected_resolution_ang": limits[0] and round(limits[0], 3),
        "moving_expected_fsc": None if moving is None else numbers(moving.fsc),
        "moving_expected_resolution_ang": limits[1] and round(limits[1], 3),
    }
