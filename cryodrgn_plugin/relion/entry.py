"""Entry point of the External job: whatever happens from here on leaves an exit marker in the job folder.

Only the standard library is imported before the markers are at hand; everything else, our own arguments included, is
imported under the net, so that a broken installation also ends as FAILURE and not as a job that runs for ever.
"""

import sys
import traceback
from pathlib import Path

from .markers import JobMarkers, job_folder_in

_USER_ERROR = 2
_FAULT = 1


def main(argv: list[str] | None = None) -> int:
    """Run one External job with RELION's arguments; the exit code is for people, RELION looks at the markers."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help", "help"):
        from ..engine import streams_out
        from .help import help_text

        streams_out.settle()
        print(help_text())
        return 0
    if argv[0] == "scheme":
        from . import scheme

        return scheme.main(argv[1:])
    markers = JobMarkers(job_folder_in(argv) or Path("."))
    markers.clear()
    try:
        from ..engine import streams_out

        streams_out.settle()
        from .job import run_job

        return run_job(argv, markers)
    except BaseException as error:  # noqa: BLE001 - whatever it is, RELION waits for the marker
        _report(error, markers)
        return _USER_ERROR if _is_user_error(error) else _FAULT


def _report(error: BaseException, markers: JobMarkers) -> None:
    """Say what happened in run.err and in the note, and mark the job as failed."""
    if _is_user_error(error):
        sentence = str(error)
    else:
        traceback.print_exception(error)
        sentence = f"{type(error).__name__}: {error} (a fault of the program or of its installation; see run.err)"
    print(sentence, file=sys.stderr, flush=True)
    markers.fail(sentence)


def _is_user_error(error: BaseException) -> bool:
    """Told by name: when the engine cannot even be imported, its error classes cannot be either."""
    return any(base.__name__ == "EngineError" for base in type(error).__mro__)
