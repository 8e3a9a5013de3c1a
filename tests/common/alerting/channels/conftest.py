"""Texts that are compared whole."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDENS = Path(__file__).parents[3] / "goldens" / "alerting"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a whole text with `tests/goldens/alerting/<name>`; UPDATE_GOLDENS=1 writes it instead."""

    def compare(name: str, found: str) -> None:
        path = GOLDENS / name
        if os.environ.get("UPDATE_GOLDENS"):  # noqa: TID251
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(found)
        assert path.exists(), f"{path} is missing: run the test with UPDATE_GOLDENS=1 and look at what it writes"
        assert found == path.read_text(), f"differs from {path}: if that is meant, run again with UPDATE_GOLDENS=1"

    return compare
