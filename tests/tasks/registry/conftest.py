"""One home per test."""

from pathlib import Path

import pytest

from tests.tasks.registry.homes import Home, new_home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return new_home(tmp_path)
