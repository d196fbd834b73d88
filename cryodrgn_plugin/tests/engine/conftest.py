"""What tests of the engine share."""

import pytest


@pytest.fixture
def few_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search for species starts anew less often than usual, and what it started ripens for a shorter while."""
    few = {"SORTING": 4, "CHECKS": 2, "PAIRED_STARTS": 1, "PARTED_STARTS": 2, "RIPENING": 3}
    for name, value in few.items():
        monkeypatch.setattr(f"cryodrgn_plugin.engine.ab_initio.stages.{name}", value)
