"""How a series of maps is made for a report and stands in its index; docs/run_folder.md explains the schema."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..report_writer import Report
from .analysis_parts import MadeSeries
from .chimerax import chimerax_script
from .series import Series
from .volumes import HalfAgreement, MadeMap, Progress, TrainedDecoder, make_maps


def make_series(
    maker: TrainedDecoder,
    series: Series,
    out: Report,
    progress: Progress,
    *,
    coordinates: np.ndarray | None = None,
    **how: Any,
) -> MadeSeries:
    """The maps of a series in the report's folder, judged by their half-maps.

    `coordinates` (n, ?) are what the maker makes them at, z of the series unless given; `how` goes to `make_maps`.
    """
    points = series.z if coordinates is None else coordinates
    into = out.series_folder(series.name)
    maps = list(make_maps(maker, points, into, progress, **{"stage": f"maps {series.name}", "judge": True, **how}))
    return MadeSeries(series, maps, float(np.median([one.level for one in maps])))


def series_entry(made: MadeSeries, out: Report) -> dict[str, Any]:
    """A series and its maps, as the index has them."""
    series = made.series
    maps = []
    for k, one in enumerate(made.maps):
        entry = {
            "file": out.relative(one.file),
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


def write_chimerax(made: Sequence[MadeSeries], out: Report, name: str) -> None:
    """Write the script `name` that opens the maps of all series."""
    entries = [(m.series.title, [out.relative(one.file) for one in m.maps], m.level) for m in made]
    out.text("chimerax", name, chimerax_script(entries))


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
