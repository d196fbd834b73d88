"""Kernels that numba compiles when they are first used: where they are kept, and that a run says what it waits for.

numba keeps what it compiled beside the package, or in the user's cache folder. Where neither can be written, as in a
container of a cluster, it refuses to start; then they are kept in a folder of this user among the temporary files.
What is kept is code that will be run, so a folder there that anybody else could have written is not used.
"""

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

KEPT_IN = "NUMBA_CACHE_DIR"
SENTENCE = "Kernels are being compiled, which takes a minute in all the first time; later runs find them."


def find_room() -> None:
    """Choose the folder where numba can keep none by itself. It is read when numba is loaded, so it is said when the
    engine is; what the user says stays."""
    if KEPT_IN in os.environ or os.access(Path(__file__).parent, os.W_OK) or _takes_files(_cache_of_user()):
        return
    os.environ[KEPT_IN] = str(_private_folder(Path(tempfile.gettempdir())))


@contextmanager
def told_when_compiling(say: Callable[[str], None]) -> Iterator[None]:
    """Inside the block, `say` one sentence when the first kernel is compiled, none where all were kept."""
    from numba.core import event

    class Listener(event.Listener):
        said = False

        def on_start(self, event: event.Event) -> None:
            if not self.said:
                self.said = True
                say(SENTENCE)

        def on_end(self, event: event.Event) -> None:
            """Nothing is said."""

    with event.install_listener("numba:compile", Listener()):
        yield


def _cache_of_user() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "numba"


def _takes_files(folder: Path) -> bool:
    """Whether a file can be made in a folder, which is made where it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


def _private_folder(among: Path) -> Path:
    """The same for every run of this user, unless somebody else took the name."""
    folder = among / f"cryodrgn-plugin-kernels-{os.getuid()}"
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    mine = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022
    return folder if mine else Path(tempfile.mkdtemp(prefix=f"{folder.name}-", dir=among))
