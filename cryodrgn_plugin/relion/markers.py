"""The marker files by which RELION learns how a job stands.

RELION looks only at whether `RELION_JOB_EXIT_SUCCESS`, `_FAILURE` or `_ABORTED` is present in the job folder; a job
without any of them counts as running for ever. `RELION_JOB_ABORT_NOW` is RELION's request to stop. At most one exit
marker is present at a time.
"""

import itertools
from datetime import datetime
from pathlib import Path

SUCCESS = "RELION_JOB_EXIT_SUCCESS"
FAILURE = "RELION_JOB_EXIT_FAILURE"
ABORTED = "RELION_JOB_EXIT_ABORTED"
ABORT_NOW = "RELION_JOB_ABORT_NOW"


class JobMarkers:
    """The markers and the note of one job folder."""

    def __init__(self, job_folder: Path) -> None:
        self.folder = job_folder

    def clear(self) -> None:
        """Forget how an earlier run of this job ended (RELION's Continue runs again in the same folder)."""
        for name in (SUCCESS, FAILURE, ABORTED, ABORT_NOW):
            (self.folder / name).unlink(missing_ok=True)

    def abort_requested(self) -> bool:
        return (self.folder / ABORT_NOW).exists()

    def succeed(self) -> None:
        self._end(SUCCESS)

    def fail(self, sentence: str) -> None:
        """Mark the job as failed and keep the reason in the job's note, which RELION shows."""
        self.note(sentence)
        self._end(FAILURE)

    def abort(self, sentence: str) -> None:
        """Mark the job as aborted, as asked, and say in the note how it can go on."""
        self.note(sentence)
        self._end(ABORTED)

    def note(self, sentence: str) -> None:
        """Append one line to note.txt, the text behind RELION's 'Edit Note'."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "note.txt", "a", encoding="utf-8") as note:
            note.write(f" ++++ cryodrgn-plugin, {datetime.now():%Y-%m-%d %H:%M:%S}: {sentence}\n")

    def _end(self, name: str) -> None:
        self.clear()
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).touch()


def job_folder_in(argv: list[str]) -> Path | None:
    """The job folder named by --o, found without judging anything else, so that any mistake can be reported there."""
    for flag, value in itertools.pairwise(argv):
        if flag == "--o" and not value.startswith("--"):
            return Path(value)
    return None
