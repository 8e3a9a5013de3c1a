"""A service loads nothing that paints on terminals, and whoever wants to paint still can."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


def loaded(code: str) -> set[str]:
    """The modules of a Python of its own that has run `code`."""
    script = f"{code}\nimport sys\nsys.stdout.write(' '.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=REPOSITORY,
        env={"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY / 'common'}"},
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("service", ["upgrader", "version_watcher"])
def test_a_service_is_spared_the_terminal(service: str) -> None:
    modules = loaded(f"import services.{service}.__main__")

    assert {"structlog", "httpx"} <= modules
    assert not {"rich", "click", "pygments"} & modules


def test_whoever_wants_the_terminal_gets_it() -> None:
    assert {"rich.console", "click"} <= loaded("import services, rich.console, click")
    assert {"structlog", "rich.console"} <= loaded("import rich.console, services, structlog")
