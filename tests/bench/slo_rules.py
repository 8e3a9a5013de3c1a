"""Objectives of thousands of Services: from objects of the API server to the text of rule files.

The peer is ourselves with a quarter of the Services: what grows in proportion has the ratio 1.
"""

import gc
import time
from dataclasses import dataclass
from datetime import timedelta

from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.objectives.facts import (
    ANNOTATION_PREFIX,
    MeshFacts,
    http_route_facts,
    profile_facts,
    service_facts,
)
from steward.alerting.objectives.rendering import RenderedPolicy, rendered_annotations
from steward.alerting.rules import rule_document
from steward.jsonvalue import Json, JsonObject
from steward.yamlvalue import render_yaml
from tests.bench.row import Row

SIZES = (500, 1000, 2000)
A_NAMESPACE = 20
_ROUNDS = 3
_MONITORING = Monitoring(ScrapeProfile(ScrapeKind.POD_MONITOR), retention=timedelta(days=15))
_ASKED = {f"{ANNOTATION_PREFIX}success-rate": "99.9", f"{ANNOTATION_PREFIX}latency": "500ms@99"}


@dataclass(frozen=True, slots=True)
class Objects:
    """As the API server has them."""

    services: tuple[JsonObject, ...]
    profiles: tuple[JsonObject, ...]
    routes: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class _Rendering:
    seconds: float
    rules: int
    size: int


async def measure(sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Time, rules and bytes of two objectives a Service, at each size."""
    found = {size: _best(size) for size in sizes}
    first = found[sizes[0]]
    rows: list[Row] = []
    for size, rendering in found.items():
        share = size / sizes[0]
        peer = f"{sizes[0]} Services, times {share:g}"
        for what, unit, ours, theirs in (
            ("CPU time", "ms", rendering.seconds * 1000, first.seconds * 1000),
            ("rules", "rules", float(rendering.rules), float(first.rules)),
            ("text", "kB", rendering.size / 1000, first.size / 1000),
        ):
            name = f"rules of 2 objectives for {size} Services, {what}"
            rows.append(Row(name, unit, ours, peer, theirs * share, theirs * share / ours))
    return rows


def objects_of(size: int) -> Objects:
    """So many Services with annotations, every fourth with a ServiceProfile, every fourth with an HTTPRoute."""
    return Objects(
        tuple(_service(number) for number in range(size)),
        tuple(_profile(number) for number in range(0, size, 4)),
        tuple(_route(number) for number in range(1, size, 4)),
    )


def rules_of(objects: Objects, monitoring: Monitoring) -> tuple[tuple[str, RenderedPolicy], ...]:
    """Their rules, namespace by namespace."""
    facts = MeshFacts.gathered(
        map(service_facts, objects.services),
        map(profile_facts, objects.profiles),
        map(http_route_facts, objects.routes),
    )
    return rendered_annotations(facts, monitoring)


def _best(size: int) -> _Rendering:
    objects = objects_of(size)
    return min((_rendered(objects) for _ in range(_ROUNDS)), key=lambda one: one.seconds)


def _rendered(objects: Objects) -> _Rendering:
    gc.collect()
    began = time.process_time()
    units = [rendered for _, rendered in rules_of(objects, _MONITORING)]
    texts = [render_yaml(rule_document(unit.groups)) for unit in units]
    took = time.process_time() - began
    return _Rendering(took, sum(unit.rules for unit in units), sum(len(text.encode()) for text in texts))


def _namespace(number: int) -> str:
    return f"team-{number // A_NAMESPACE}"


def _service(number: int) -> JsonObject:
    annotations: JsonObject = dict(_ASKED)
    ports: list[Json] = [{"port": 8080, "targetPort": 8080, "name": "http"}]
    selector: JsonObject = {"app": f"app-{number}"}
    return {
        "metadata": {"name": f"app-{number}", "namespace": _namespace(number), "annotations": annotations},
        "spec": {"clusterIP": "10.0.0.1", "selector": selector, "ports": ports},
    }


def _profile(number: int) -> JsonObject:
    namespace = _namespace(number)
    routes: list[Json] = [{"name": f"GET /{each}", "condition": {"method": "GET"}} for each in range(5)]
    name = f"app-{number}.{namespace}.svc.cluster.local"
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"routes": routes}}


def _route(number: int) -> JsonObject:
    parent: JsonObject = {"group": "core", "kind": "Service", "name": f"app-{number}"}
    spec: JsonObject = {"parentRefs": [parent], "rules": [{}]}
    return {"metadata": {"name": f"route-{number}", "namespace": _namespace(number)}, "spec": spec}
