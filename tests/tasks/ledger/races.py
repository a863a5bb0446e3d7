"""Another process that is quicker: it makes a file just after it was found missing."""

from collections.abc import Callable
from pathlib import Path

import pytest


def made_meanwhile(make: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ``make`` run once, right after the next look at whether a file is there."""
    looked = Path.exists

    def look(path: Path) -> bool:
        monkeypatch.setattr(Path, "exists", looked)
        there = looked(path)
        make()
        return there

    monkeypatch.setattr(Path, "exists", look)
