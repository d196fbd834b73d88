"""The index of states: every map of every state and what is known of it; docs/run_folder.md explains the keys."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..analysis.analysis_parts import MadeSeries
from ..analysis.chimerax import chimerax_script
from ..analysis.entries import numbers, series_entry
from ..analysis.series import Series
from ..reconstruction.bandwidth import Bandwidths
from ..report_writer import Report
from ..result_kinds import REGRESSION_SERIES, STATE_SERIES
from ..run import Latents
from .made import PERCENTILES, MadeState

TITLES = {STATE_SERIES: "of states", REGRESSION_SERIES: "of states by regression"}
"""What the maps of each way are, after the word maps."""


def states_entries(
    made: dict[str, list[MadeState]], series: Series, out: Report, latents: Latents, bandwidths: Bandwidths | None
) -> dict[str, Any]:
    """The index without its files and figures; `made` holds the maps of each way that they were made, by name."""
    return {
        "particles": len(latents.z),
        "z_dim": latents.z.shape[1],
        "regression": bandwidths
        and {
            "reference_particles": bandwidths.reference,
            "best_particles": bandwidths.best,
            "expected": {str(size): value for size, value in bandwidths.expected.items()},
        },
        "series": [_series_entry(name, series, states, out) for name, states in made.items()],
        "figures": {},
    }


def write_script(made: dict[str, list[MadeState]], out: Report) -> None:
    """Write the script that opens the maps and the sharpened maps in ChimeraX."""
    entries = []
    for name, states in made.items():
        level = float(np.median([one.map.level for one in states]))
        entries.append((f"maps {TITLES[name]}", [out.relative(one.files["map"]) for one in states], level))
        if all("sharpened" in one.files for one in states):
            level = float(np.median([one.sharpened_level for one in states]))
            title = f"maps {TITLES[name]}, sharpened"
            entries.append((title, [out.relative(one.files["sharpened"]) for one in states], level))
    out.text("chimerax", "states.cxc", chimerax_script(entries))


def _series_entry(name: str, series: Series, states: Sequence[MadeState], out: Report) -> dict[str, Any]:
    level = float(np.median([one.map.level for one in states]))
    named = dataclasses.replace(series, name=name, title=TITLES[name])
    entry = series_entry(MadeSeries(named, [one.map for one in states], level), out)
    for described, one in zip(entry["maps"], states, strict=True):
        described |= _details(one, out)
    return entry


def _details(one: MadeState, out: Report) -> dict[str, Any]:
    known = one.by_halves if one.map.expected is None else one.map.expected.fsc
    return {
        "half_maps": [out.relative(one.files[h]) for h in ("half1", "half2") if h in one.files],
        **{name: out.relative(one.files[name]) if name in one.files else None for name in ("mask", "sharpened")},
        "local_resolution": out.relative(one.files["locres"]) if "locres" in one.files else None,
        "effective_particles": one.effective and round(one.effective, 1),
        "expected_fsc": None if known is None else numbers(known),
        "expected_measured": one.map.expected is not None,
        "moving_expected_fsc": None if one.map.moving_expected is None else numbers(one.map.moving_expected.fsc),
        "moving_expected_resolution_ang": one.moving_resolution_ang and round(one.moving_resolution_ang, 3),
        "measured_to_shell": None if one.map.expected is None else one.map.expected.measured_to,
        "expected_resolution_ang": one.resolution_ang and round(one.resolution_ang, 3),
        "local_resolution_ang": one.local_ang
        and {f"percentile_{p}": round(v, 3) for p, v in zip(PERCENTILES, one.local_ang, strict=True)},
        "b_factor_ang2": None if one.b_factor_ang2 is None else round(one.b_factor_ang2, 1),
        "lowpass_ang": one.lowpass_ang and round(one.lowpass_ang, 3),
    }
