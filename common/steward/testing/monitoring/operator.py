"""The prometheus-operator: its definitions, which only have to be fetched, and the program itself, which is built.

It is a pinned Go module; nothing of it is copied into this repository.
"""

from pathlib import Path

import yaml

from steward.jsonvalue import JsonObject
from steward.testing.monitoring.tools import MODULES
from steward.testing.toolboxes.recipe import Program, Recipe
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.shelf import Report
from steward.testing.toolboxes.toolbox import Toolbox, Workbench

KINDS = (
    "alertmanagerconfigs",
    "alertmanagers",
    "podmonitors",
    "probes",
    "prometheusagents",
    "prometheuses",
    "prometheusrules",
    "scrapeconfigs",
    "servicemonitors",
    "thanosrulers",
)
"""The plurals of all of them."""
_MODULE = "github.com/prometheus-operator/prometheus-operator"
_RECIPE = Recipe(
    "prometheus_operator",
    (Program(f"{_MODULE}/cmd/operator", "operator"),),
    (("github.com/prometheus/common/version.Version", f"{{{_MODULE}:bare}}"),),
    MODULES,
)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # whichever there is
    """YAML 1.1 has a meaning of its own for a lone `=`, which the definitions have as an operator of matchers."""


_Loader.add_constructor("tag:yaml.org,2002:value", yaml.SafeLoader.construct_scalar)


def operator_definitions(
    settings: ToolboxSettings, *plurals: str, report: Report | None = None
) -> tuple[JsonObject, ...]:
    """Its CustomResourceDefinitions of these plurals. Raise `GoMissing` where they cannot be fetched."""
    folder = _DEFINITIONS.build(settings, report)
    return tuple(
        yaml.load((folder / f"monitoring.coreos.com_{plural}.yaml").read_text(), Loader=_Loader) for plural in plurals
    )


def operator(settings: ToolboxSettings, report: Report | None = None) -> Path:
    """The program, built now if the cache does not have it. Raise `GoMissing` where it cannot be."""
    return _PROGRAM.build(settings, report) / "operator"


def _fetch(bench: Workbench, target: Path) -> None:
    source = bench.module(_MODULE, _RECIPE.directory) / "example" / "prometheus-operator-crd"
    for path in sorted(source.glob("*.yaml")):
        # Bytes only: files of the module cache are read-only, and a copied mode would make the cache undeletable.
        (target / path.name).write_bytes(path.read_bytes())


_DEFINITIONS = Toolbox(
    name="prometheus-operator-definitions",
    title="the prometheus-operator's definitions",
    lasts="seconds",
    remedy="install Go 1.26 or newer",
    recipes=(),
    finish=_fetch,
    ingredients=_RECIPE.ingredients,
)
_PROGRAM = Toolbox(
    name="prometheus-operator",
    title="the prometheus-operator for tests",
    lasts="about five minutes on two cores",
    remedy="install Go 1.26 or newer",
    recipes=(_RECIPE,),
)
