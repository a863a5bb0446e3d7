"""Tests that cost minutes and say little more than a shorter one: ``make test-all`` runs them."""

import os

import pytest

SWITCH = "PROOFHOUSE_TEST_ALL"


def only_when_asked(reason: str) -> pytest.MarkDecorator:
    """Skips, and says what it would cost or who shows the same, unless everything is asked for."""
    return pytest.mark.skipif(
        not os.environ.get(SWITCH), reason=f"{reason}: make test-all, or set {SWITCH}=1"
    )
