"""What a preflight leaves: the verdicts, a page, the map with its halves; docs/run_folder.md describes the results."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..report_writer import report_into
from ..result_kinds import half_map_names
from .preflight_options import PreflightOptions
from .preflight_page import draw_page
from .survey import Progress, Survey, survey

PAGE, MAP = "preflight.png", "map.mrc"


def preflight(path: Path, folder: Path, options: PreflightOptions, progress: Progress) -> Survey:
    """Judge the particles of `path` and write what was found into `folder`."""
    began = time.monotonic()
    with report_into(folder, "preflight", options, {"star": str(path)}) as out:
        surveyed = survey(path, options, progress)
        out.index |= _entries(surveyed, time.monotonic() - began)
        draw_page(out.file("page", PAGE), surveyed)
        if surveyed.maps is not None:
            out.map("map", MAP, surveyed.maps.combined, surveyed.pixel_size_ang)
            for role, name in zip(("half1", "half2"), half_map_names(MAP), strict=True):
                out.map(role, name, getattr(surveyed.maps, role), surveyed.pixel_size_ang)
    return surveyed


def _entries(surveyed: Survey, seconds: float) -> dict[str, Any]:
    """What the index says."""
    return {
        "verdict": surveyed.level,
        "particles": surveyed.particles,
        "looked_at": surveyed.looked_at,
        "checks": [asdict(verdict) for verdict in surveyed.verdicts],
        "seconds": round(seconds, 1),
    }
