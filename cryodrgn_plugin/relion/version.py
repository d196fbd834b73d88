"""Which RELION wrote this project: 3.1, 4 or 5 name their output nodes differently."""

import re
from pathlib import Path

from ..engine.errors import ConfigError

VERSIONS = ("3.1", "4", "5")


def relion_version(project: Path, wanted: str = "auto", job: Path | None = None) -> str:
    """The RELION version of a project, one of VERSIONS; `wanted` other than auto overrides what the project shows.

    RELION 5 marks default_pipeline.star with version 50001. RELION 4 keeps 30001 but names types by label, where 3.1
    has whole numbers. Where a project has no pipeline, as under CCP-EM's, job.star in the folder `job` says the same.

    Raises ConfigError for an unknown `wanted`.
    """
    if wanted != "auto":
        return _asked_for(wanted)
    places = (project / "default_pipeline.star", *([] if job is None else [job / "job.star"]))
    text = next((path.read_text(encoding="utf-8", errors="replace") for path in places if path.is_file()), "")
    marks = [int(mark) for mark in re.findall(r"^# version (\d+)", text, flags=re.MULTILINE)]
    if marks and max(marks) >= 50001:
        return "5"
    return "4" if "TypeLabel" in text else "3.1"


def _asked_for(wanted: str) -> str:
    major = wanted.split(".")[0]
    version = "3.1" if major == "3" else major
    if version not in VERSIONS:
        raise ConfigError(f"relion_version is {wanted!r}; choose auto, {', '.join(VERSIONS)}.")
    return version
