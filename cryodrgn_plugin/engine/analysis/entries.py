"""How a series of maps is made for a report and stands in its index; docs/run_folder.md explains the schema."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..reconstruction.directional_fsc import DirectionalFsc, mean_of
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
    return MadeSeries(series, maps, float(np.median([made_map.level for made_map in maps])))


def series_entry(made_series: MadeSeries, out: Report) -> dict[str, Any]:
    """A series and its maps, as the index has them."""
    series = made_series.series
    maps = []
    for k, made_map in enumerate(made_series.maps):
        entry = {
            "file": out.relative(made_map.file),
            "label": series.labels[k],
            "position": float(series.positions[k]),
            "z": numbers(series.z[k]),
            "level": float(made_map.level),
            **_agreement_entry("", made_map.whole),
            **_agreement_entry("moving_", made_map.moving),
            **_expected_entry(made_map),
            "directions": directions.entry() if (directions := _directions_of(made_map)) is not None else None,
        }
        if series.particles is not None:
            entry["particle"] = int(series.particles[k])
        maps.append(entry)
    return {"name": series.name, "title": series.title, "level": made_series.level, "maps": maps}


def directions_of(made_series: MadeSeries) -> DirectionalFsc | None:
    """The mean over the maps of a series of their FSC by direction; None where it was not measured."""
    measured = [each for each in map(_directions_of, made_series.maps) if each is not None]
    return mean_of(measured) if measured else None


def write_chimerax(made_series: Sequence[MadeSeries], out: Report, name: str) -> None:
    """Write the script `name` that opens the maps of all series."""
    entries = [(m.series.title, [out.relative(made_map.file) for made_map in m.maps], m.level) for m in made_series]
    out.text("chimerax", name, chimerax_script(entries))


def numbers(values: np.ndarray) -> list[float]:
    """Values as an index holds them, with seven digits."""
    return [float(f"{value:.7g}") for value in np.asarray(values, float)]


def _directions_of(made_map: MadeMap) -> DirectionalFsc | None:
    return None if made_map.whole is None else made_map.whole.directions


def _agreement_entry(prefix: str, agreement: HalfAgreement | None) -> dict[str, Any]:
    measured = agreement is not None
    return {
        f"{prefix}resolution_ang": agreement.resolution_ang if measured else None,
        f"{prefix}fsc": numbers(agreement.fsc) if measured else None,
    }


def _expected_entry(made_map: MadeMap) -> dict[str, Any]:
    """Agreement with the truth as far as it was measured, null elsewhere."""
    whole, moving = made_map.expected, made_map.moving_expected
    limits = made_map.expected_resolution_ang, made_map.moving_expected_resolution_ang
    return {
        "expected_fsc": None if whole is None else numbers(whole.fsc),
        "expected_resolution_ang": limits[0] and round(limits[0], 3),
        "moving_expected_fsc": None if moving is None else numbers(moving.fsc),
        "moving_expected_resolution_ang": limits[1] and round(limits[1], 3),
    }
