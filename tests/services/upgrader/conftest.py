"""Goldens: whole texts compared with files, written anew with `STEWARD_UPDATE_GOLDENS=1`."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDENS = Path(__file__).parents[2] / "goldens/upgrader"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compare a text with the golden of that name."""

    def compare(name: str, text: str) -> None:
        path = GOLDENS / f"{name}.txt"
        if os.environ.get("STEWARD_UPDATE_GOLDENS"):  # noqa: TID251 - a wish of whoever runs the tests
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), (
            f"{path} does not exist: run the test with STEWARD_UPDATE_GOLDENS=1 and read what it wrote"
        )
        assert text == path.read_text(encoding="utf-8"), "another story; STEWARD_UPDATE_GOLDENS=1 writes it down"

    return compare
