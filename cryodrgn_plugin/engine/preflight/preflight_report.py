"""What a preflight leaves: preflight.json, the page, the map with its halves. docs/run_folder.md explains the files."""

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..io.mrc import write_map
from ..io.writing import explained, write_text
from .preflight_options import PreflightOptions
from .preflight_page import draw_page
from .survey import Progress, Survey, survey

INDEX, PAGE = "preflight.json", "preflight.png"
MAPS = {"map": "map.mrc", "half1": "map_half1.mrc", "half2": "map_half2.mrc"}


def preflight(path: Path, folder: Path, options: PreflightOptions, progress: Progress) -> Survey:
    """Judge the particles of `path` and write what was found into `folder`."""
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    found = survey(path, options, progress)
    files = {"page": PAGE}
    draw_page(folder / PAGE, found)
    for name in MAPS.values():
        (folder / name).unlink(missing_ok=True)
    if found.maps is not None:
        for role, volume in (("map", found.maps.combined), ("half1", found.maps.half1), ("half2", found.maps.half2)):
            write_map(folder / MAPS[role], volume, found.pixel_size_ang)
        files |= MAPS
    index = _index(found, options, files, time.monotonic() - began)
    write_text(folder / INDEX, json.dumps(index, indent=2, ensure_ascii=False) + "\n")
    return found


def _index(found: Survey, options: PreflightOptions, files: dict[str, str], seconds: float) -> dict[str, Any]:
    return {
        "schema": 1,
        "star": str(found.path),
        "options": asdict(options),
        "verdict": found.level,
        "particles": found.particles,
        "looked_at": found.looked_at,
        "checks": [asdict(verdict) for verdict in found.verdicts],
        "seconds": round(seconds, 1),
        "files": files,
    }
