"""How long from the start of alerting until the objectives of thousands of Services are in force, and what it takes.

One more change is then made to one Service: what that takes is what every day takes. The peer is ourselves with a
quarter of the Services; for the event loop, one `json.dumps` of the rules that are in force.
"""

import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

from steward.alerting.objectives.facts import ANNOTATION_PREFIX
from steward.jsonvalue import JsonObject, text
from steward.kube.mesh_resources import HTTP_ROUTES, SERVICE_PROFILES
from steward.kube.resources import NAMESPACES, SERVICES, Resource
from steward.testing.kubernetes.cluster import ClusterState
from tests.bench.alerting_process import Alerting, Around, surroundings
from tests.bench.row import Row
from tests.bench.slo_rules import A_NAMESPACE, SIZES, Objects, objects_of

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class _Took:
    """Seconds and MB."""

    start: float
    processor: float
    memory: float
    busy: float
    change: float
    change_processor: float
    change_busy: float
    dumped: float


async def measure(sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Start and change at each size."""
    found = {size: await _took(size) for size in sizes}
    first = found[sizes[0]]
    rows: list[Row] = []
    for size, took in found.items():
        share, name = size / sizes[0], f"alerting with {size} Services"
        peer = f"{sizes[0]} Services, times {share:g}"
        for what, unit, ours, theirs in (
            ("start until in force", "s", took.start, first.start),
            ("start until in force, processor time", "s", took.processor, first.processor),
            ("memory", "MB", took.memory, first.memory),
            ("a change until in force", "s", took.change, first.change),
            ("a change, processor time", "s", took.change_processor, first.change_processor),
        ):
            rows.append(Row(f"{name}: {what}", unit, ours, peer, theirs * share, theirs * share / ours))
        for what, ours in (("start", took.busy), ("a change", took.change_busy)):
            longest = f"{name}: longest pass of the loop, {what}"
            rows.append(Row(longest, "ms", ours * 1000, "json.dumps", took.dumped * 1000, took.dumped / ours))
    return rows


async def _took(size: int) -> _Took:
    async with surroundings() as around:
        objects = objects_of(size)
        _make(around, objects)
        async with Alerting.running(around.world) as alerting:
            start = await alerting.until(lambda said: said.get("applied", 0) >= size / A_NAMESPACE)
            worked, memory = alerting.processor, alerting.memory()
            rules = (await alerting.metrics())["rules"]
            busy = await alerting.busy()
            _ask_more(around, objects.services[0])
            change = await alerting.until(lambda said: said.get("rules", 0) > rules)
            change_busy = await alerting.busy()
            return _Took(
                start=start,
                processor=worked,
                memory=memory,
                busy=busy.processor,
                change=change,
                change_processor=alerting.processor - worked,
                change_busy=change_busy.processor,
                dumped=dumped(around.world.folder / "rules"),
            )


def dumped(folder: Path) -> float:
    """Seconds of processor time that one `json.dumps` of the rule files takes."""
    texts = {each.name: each.read_text() for each in folder.glob("*.yaml")}
    took = []
    for _ in range(_ROUNDS):
        began = time.process_time()
        json.dumps(texts)
        took.append(time.process_time() - began)
    return statistics.median(took)


def _make(around: Around, objects: Objects) -> None:
    cluster = around.world.kubernetes.cluster
    for resource, found in (
        (SERVICES, objects.services),
        (SERVICE_PROFILES, objects.profiles),
        (HTTP_ROUTES, objects.routes),
    ):
        for each in found:
            _create(cluster, resource, each)


def _create(cluster: ClusterState, resource: Resource, found: JsonObject) -> None:
    namespace = text(found, "metadata", "namespace")
    if cluster.find(NAMESPACES, namespace) is None:
        cluster.create(NAMESPACES, {"metadata": {"name": namespace}})
    cluster.create(resource, {"apiVersion": resource.api_version, "kind": resource.kind, **found})


def _ask_more(around: Around, service: JsonObject) -> None:
    """Another objective."""
    name, namespace = text(service, "metadata", "name"), text(service, "metadata", "namespace")
    cluster = around.world.kubernetes.cluster
    live = cluster.get(SERVICES, name, namespace)
    annotations: JsonObject = {f"{ANNOTATION_PREFIX}latency": "500ms@95", f"{ANNOTATION_PREFIX}success-rate": "99.5"}
    cluster.replace(SERVICES, {**live, "metadata": {**_metadata(live), "annotations": annotations}})


def _metadata(found: JsonObject) -> JsonObject:
    metadata = found["metadata"]
    return metadata if isinstance(metadata, dict) else {}
