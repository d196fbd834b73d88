"""Where a run's particles came from: the file that its settings name, as it is found from where the reader stands."""

from pathlib import Path

from .config import RunConfig
from .errors import ConfigError, DataError
from .run_layout import RunLayout


def given_file(folder: Path, config: RunConfig) -> Path:
    """The particle file that the run in `folder` was made from."""
    path = Path(config.particles)
    # Hosts name the file relative to their project, which need not be the working folder of who asks now.
    bases = (Path(), *folder.resolve().parents)
    return next((base / path for base in bases if (base / path).is_file()), path)


def origin_around(folder: Path) -> tuple[Path, str] | None:
    """Particle file and root of the run that `folder` is or lies in; None outside a run.

    Raises DataError when the run's settings cannot be read.
    """
    home = next((parent for parent in (folder, *folder.parents) if RunLayout(parent).info_file.is_file()), None)
    if home is None:
        return None
    path = RunLayout(home).config_file
    try:
        config = RunConfig.from_json(path.read_text())
    except (OSError, ValueError, TypeError, AttributeError, ConfigError) as error:
        raise DataError(f"{path} cannot be read as the settings of a run: {error}") from error
    return given_file(home, config), config.root
