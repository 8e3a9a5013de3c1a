"""What `make manifests` writes is what the code and deploy/ say."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.deploy import render
from tests.deploy.kustomize import DEPLOY


def _differing(generated: dict[Path, str]) -> list[str]:
    return [
        path.name for path, text in generated.items() if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]


@pytest.mark.parametrize("generate", [render.plans, render.readme])
def test_what_is_generated_is_up_to_date(generate: Callable[[], dict[Path, str]]) -> None:
    assert _differing(generate()) == [], "run `make manifests`"


@pytest.mark.usefixtures("renderer")
def test_the_printed_overlays_are_those_of_deploy() -> None:
    assert _differing(render.manifests()) == [], "run `make manifests`"


def test_no_plan_is_left_over() -> None:
    assert set((DEPLOY / "base/plans").glob("*.yaml")) == set(render.plans()), "run `make manifests`"
