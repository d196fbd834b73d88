"""Say whether the running Python has what pyproject.toml asks for, so that a complete environment is left alone.

    python tools/check_environment.py scipion viewer test

Exit status 0: every requirement of the package and of the extras named is met, and the package has been installed with
the entry points that pyproject.toml gives it. 1: the first few unmet ones are printed.
"""

import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution, version
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
    missing = [text for text in wanted if not _is_met(Requirement(text))]
    return missing or ([] if _entry_points(project) <= _installed_entry_points(project["name"]) else [project["name"]])


def _entry_points(project: dict) -> set[tuple[str, str, str]]:
    """Group, name and target of every entry point that the project asks for."""
    groups = {"console_scripts": project["scripts"], **project["entry-points"]}
    return {(group, name, target) for group, points in groups.items() for name, target in points.items()}


def _installed_entry_points(name: str) -> set[tuple[str, str, str]]:
    return {(point.group, point.name, point.value) for point in distribution(name).entry_points}


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
