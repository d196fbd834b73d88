"""Say whether the running Python has what pyproject.toml asks for, so that a complete environment is left alone.

    python tools/check_environment.py scipion viewer test

Exit status 0: every requirement of the package and of the extras named is met. 1: the first few unmet ones are printed.
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]


def unmet(extras: list[str]) -> list[str]:
    """Requirements of the package and `extras` that the running environment does not meet."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return ["packaging"]
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    wanted = [project["name"], *project["dependencies"]]
    for extra in extras:
        wanted += project["optional-dependencies"][extra]
    return [text for text in wanted if not _is_met(Requirement(text))]


def _is_met(requirement) -> bool:
    try:
        return requirement.specifier.contains(version(requirement.name), prereleases=True)
    except PackageNotFoundError:
        return False


if __name__ == "__main__":
    missing = unmet(sys.argv[1:])
    if missing:
        print("To install: " + ", ".join(missing[:8]) + (" and more" if len(missing) > 8 else ""))
    sys.exit(1 if missing else 0)
