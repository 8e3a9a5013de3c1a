"""A toolbox is built by a real Go from a pinned module, with the versions of go.mod in its programs."""

import shutil
import subprocess
from pathlib import Path

import pytest

from steward.errors import ConfigurationError, ToolError
from steward.testing.toolboxes.recipe import Program, Recipe
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.toolbox import GoMissing, Toolbox

_LIBRARY = """package library

import _ "embed"

//go:embed dist/page.txt
var Page string
"""
_PROGRAM = """package main

import "example.test/library"

var version = "unknown"

func main() { print(version, " ", library.Page) }
"""
_GO_MOD = """module example.test/greeter

go 1.24

require example.test/library v0.312.4

replace example.test/library v0.312.4 => LIBRARY
"""


@pytest.fixture
def settings(tmp_path: Path) -> ToolboxSettings:
    """A cache of the test's own, and the Go of this machine."""
    usual = ToolboxSettings.from_environment()
    if shutil.which("go") is None:
        if usual.ci:
            pytest.fail("there is no `go` on PATH")
        pytest.skip("there is no `go` on PATH")
    return ToolboxSettings(tmp_path / "cache", usual.ci, usual.environment)


def _toolbox(folder: Path, *, placeholders: tuple[str, ...] = (), stamp: str = "{example.test/library}") -> Toolbox:
    """A program that embeds a page which its library does not bring."""
    library, greeter = folder / "library", folder / "modules" / "greeter"
    for each in (library, greeter):
        each.mkdir(parents=True)
    (library / "go.mod").write_text("module example.test/library\n\ngo 1.24\n")
    (library / "library.go").write_text(_LIBRARY)
    (greeter / "go.mod").write_text(_GO_MOD.replace("LIBRARY", str(library)))
    (greeter / "go.sum").touch()
    (greeter / "main.go").write_text(_PROGRAM)
    recipe = Recipe(
        "greeter",
        (Program("example.test/greeter", "greeter"),),
        (("main.version", stamp),),
        folder / "modules",
        placeholders=placeholders,
    )
    return Toolbox("greeting", "the greeters", "a moment", "install Go", (recipe,))


@pytest.mark.go
def test_what_a_module_embeds_and_does_not_bring_is_laid_into_a_copy(tmp_path: Path, settings: ToolboxSettings) -> None:
    said: list[str] = []
    toolbox = _toolbox(
        tmp_path, placeholders=("example.test/library/dist/page.txt",), stamp="{example.test/library:prometheus}"
    )

    built = toolbox.build(settings, said.append)

    greeting = subprocess.run([built / "greeter"], capture_output=True, text=True, check=True).stderr
    assert greeting == "3.12.4 not built for tests\n"
    assert sorted(file.name for file in (tmp_path / "modules" / "greeter").iterdir()) == ["go.mod", "go.sum", "main.go"]
    assert said[0] == f"building the greeters into {built.parent} (once; a moment)"
    assert said[-1] == "the greeters are built"


@pytest.mark.go
def test_a_build_that_fails_says_what_go_said(tmp_path: Path, settings: ToolboxSettings) -> None:
    toolbox = _toolbox(tmp_path)

    with pytest.raises(ToolError, match=r"`go build` in .*greeter failed with 1:(?s:.*)page.txt: no matching"):
        toolbox.build(settings, lambda _: None)
    assert not toolbox.shelf(settings).built.complete()


def test_without_go_the_message_names_the_tools_and_the_remedy(tmp_path: Path) -> None:
    settings = ToolboxSettings.from_environment({"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path)})

    with pytest.raises(GoMissing, match=r"the greeters are not in .* no `go` on PATH to build them: install Go"):
        _toolbox(tmp_path).build(settings)


@pytest.mark.parametrize(
    ("stamp", "expected"),
    [
        ("{example.test/library}", "v0.312.4"),
        ("{example.test/library:bare}", "0.312.4"),
        ("{example.test/library:minor}", "312"),
        ("{example.test/library:prometheus}", "3.12.4"),
        ("1.0", "1.0"),
    ],
)
def test_a_version_is_stamped_in_the_form_that_its_program_knows(tmp_path: Path, stamp: str, expected: str) -> None:
    (recipe,) = _toolbox(tmp_path, stamp=stamp).recipes

    assert recipe.link_flags() == f"-s -w -X main.version={expected}"


def test_the_version_of_a_module_that_is_not_required_cannot_be_stamped(tmp_path: Path) -> None:
    (recipe,) = _toolbox(tmp_path, stamp="{example.test/other}").recipes

    with pytest.raises(ConfigurationError, match=r"go\.mod does not require example\.test/other"):
        recipe.link_flags()


def test_what_decides_the_outcome_decides_the_place_and_the_rest_does_not(tmp_path: Path) -> None:
    settings = ToolboxSettings.from_environment({"XDG_CACHE_HOME": str(tmp_path)})
    plain, elsewhere = _toolbox(tmp_path / "a"), _toolbox(tmp_path / "b")
    vendored = _toolbox(tmp_path / "c", placeholders=("example.test/library/dist/page.txt",))
    go_mod = tmp_path / "b" / "modules" / "greeter" / "go.mod"
    go_mod.write_text(go_mod.read_text().replace(str(tmp_path / "b"), str(tmp_path / "a")))

    assert plain.shelf(settings).key == elsewhere.shelf(settings).key
    assert plain.shelf(settings).key != vendored.shelf(settings).key
    go_mod.write_text(go_mod.read_text().replace("go 1.24", "go 1.25"))
    assert plain.shelf(settings).key != elsewhere.shelf(settings).key
