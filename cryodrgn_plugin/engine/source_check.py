"""Whether the particles of a run are still those that it was made from."""

from typing import TYPE_CHECKING, Any

from .errors import DataError
from .io.fingerprint import IMAGES, POSES, ROWS, changes, fingerprint, rows_alone

if TYPE_CHECKING:
    from .io.particles import ParticleTable
    from .io.stacks import StackReader
    from .run_status import RunStatus

SOURCE = "source"
"""The note in run.json that says which particles a run was made from."""


def settle_source(run: "RunStatus", table: "ParticleTable", stacks: "StackReader", resumes: bool, poses: bool) -> None:
    """Note in run.json which particles a run is made from; where it is resumed, they must be those noted.

    `poses`: whether the training uses the poses of the file. Raises DataError, which says what has changed.
    """
    now = fingerprint(table, stacks)
    if not poses:
        del now[POSES]
    before = _noted(run) if resumes else {}
    if differences := changes(before, now):
        raise DataError(
            f"{table.path} has changed since {run.path} was begun: it {' and '.join(differences)}. Put back what it "
            "was to resume, or start the run anew with --overwrite."
        )
    run.note(**{SOURCE: now})


def require_source(run: "RunStatus", table: "ParticleTable") -> None:
    """Raises DataError when the rows of `table` do not show the images that the run was made from."""
    if differences := other_particles(run, table):
        raise DataError(
            f"{table.path} has changed since {run.path} was made from it: it {' and '.join(differences)}, so that "
            "results would go to other particles. Put back what it was, or say with --particles-at where that is."
        )


def other_particles(run: "RunStatus", table: "ParticleTable") -> list[str]:
    """In which ways the rows of `table` show other images than the run was made from, in words to follow a name."""
    before = _noted(run)
    return changes(before, rows_alone(table), ROWS, IMAGES) if before else []


def _noted(run: "RunStatus") -> dict[str, Any]:
    noted = run.info.get("notes", {}).get(SOURCE, {})
    return noted if isinstance(noted, dict) else {}
