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
    states_by_way: dict[str, list[MadeState]],
    series: Series,
    out: Report,
    latents: Latents,
    bandwidths: Bandwidths | None,
) -> dict[str, Any]:
    """The index without its files and figures; `states_by_way` holds the maps of each way that they were
    made, by name."""
    return {
        "particles": len(latents.z),
        "z_dim": latents.z.shape[1],
        "regression": bandwidths
        and {
            "reference_particles": bandwidths.reference,
            "best_particles": bandwidths.best,
            "expected": {str(size): value for size, value in bandwidths.expected.items()},
        },
        "series": [_series_entry(name, series, states, out) for name, states in states_by_way.items()],
        "figures": {},
    }


def write_script(states_by_way: dict[str, list[MadeState]], out: Report) -> None:
    """Write the script that opens the maps and the sharpened maps in ChimeraX."""
    entries = []
    for name, states in states_by_way.items():
        level = float(np.median([state.map.level for state in states]))
        entries.append((f"maps {TITLES[name]}", [out.relative(state.files["map"]) for state in states], level))
        if all("sharpened" in state.files for state in states):
            level = float(np.median([state.sharpened_level for state in states]))
            title = f"maps {TITLES[name]}, sharpened"
            entries.append((title, [out.relative(state.files["sharpened"]) for state in states], level))
    out.text("chimerax", "states.cxc", chimerax_script(entries))


def _series_entry(name: str, series: Series, states: Sequence[MadeState], out: Report) -> dict[str, Any]:
    level = float(np.median([state.map.level for state in states]))
    named = dataclasses.replace(series, name=name, title=TITLES[name])
    entry = series_entry(MadeSeries(named, [state.map for state in states], level), out)
    for described, state in zip(entry["maps"], states, strict=True):
        described |= _details(state, out)
    return entry


def _details(state: MadeState, out: Report) -> dict[str, Any]:
    truth_fsc = state.by_halves if state.map.expected is None else state.map.expected.fsc
    return {
        "half_maps": [out.relative(state.files[h]) for h in ("half1", "half2") if h in state.files],
        **{name: out.relative(state.files[name]) if name in state.files else None for name in ("mask", "sharpened")},
        "local_resolution": out.relative(state.files["locres"]) if "locres" in state.files else None,
        "effective_particles": state.effective and round(state.effective, 1),
        "expected_fsc": None if truth_fsc is None else numbers(truth_fsc),
        "expected_measured": state.map.expected is not None,
        "moving_expected_fsc": None if state.map.moving_expected is None else numbers(state.map.moving_expected.fsc),
        "moving_expected_resolution_ang": state.moving_resolution_ang and round(state.moving_resolution_ang, 3),
        "measured_to_shell": None if state.map.expected is None else state.map.expected.measured_to,
        "expected_resolution_ang": state.resolution_ang and round(state.resolution_ang, 3),
        "local_resolution_ang": state.local_ang
        and {f"percentile_{p}": round(v, 3) for p, v in zip(PERCENTILES, state.local_ang, strict=True)},
        "b_factor_ang2": None if state.b_factor_ang2 is None else round(state.b_factor_ang2, 1),
        "lowpass_ang": state.lowpass_ang and round(state.lowpass_ang, 3),
        "unseen_difference": None if state.unseen_difference is None else round(state.unseen_difference, 4),
    }
