"""A folder of the cache is complete or not there, whoever fills it and however that ends."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest

from steward.errors import ToolError
from steward.testing.toolboxes.shelf import Shelf

_PATIENCE = 30.0


def _shelf(root: Path) -> Shelf:
    return Shelf(root, "tools", "the tools", "key")


def _ignore(line: str) -> None:
    pass


def test_what_was_made_is_complete_with_its_folders(tmp_path: Path) -> None:
    shelf = _shelf(tmp_path)

    def make(empty: Path) -> None:
        (empty / "assets").mkdir()
        (empty / "assets" / "page").write_text("page")
        (empty / "tool").write_text("tool")

    shelf.fill(make, _ignore)

    assert shelf.built.complete()
    (shelf.built.directory / "assets" / "page").unlink()
    assert not shelf.built.complete()


def test_a_build_that_fails_leaves_nothing_to_be_taken_and_nothing_in_the_way(tmp_path: Path) -> None:
    shelf = _shelf(tmp_path)

    def fail(empty: Path) -> None:
        (empty / "half").write_text("half")
        raise ToolError("no room")

    with pytest.raises(ToolError, match="no room"):
        shelf.fill(fail, _ignore)
    assert not shelf.built.complete()

    shelf.fill(lambda empty: (empty / "tool").touch(), _ignore)
    assert shelf.built.complete()
    assert not shelf.built.path("half").exists()


def test_who_comes_second_waits_says_so_and_takes_what_the_first_made(tmp_path: Path) -> None:
    begun, told, made = Event(), Event(), list[str]()
    said: list[str] = []

    def make(empty: Path) -> None:
        begun.set()
        assert told.wait(_PATIENCE)
        made.append("first")
        (empty / "tool").touch()

    def tell(line: str) -> None:
        said.append(line)
        told.set()

    with ThreadPoolExecutor() as threads:
        first = threads.submit(_shelf(tmp_path).fill, make, _ignore)
        assert begun.wait(_PATIENCE)
        second = threads.submit(_shelf(tmp_path).fill, lambda _: made.append("second"), tell)
        first.result(_PATIENCE)
        second.result(_PATIENCE)

    assert made == ["first"]
    assert said == [f"another process builds the tools; waiting for it to leave {tmp_path / 'tools.lock'}"]
