"""What the exporter computes of 10,000 pods in a thousand namespaces, and of the targets that scrape them.

The peer is the reading of the same pods from the API server's JSON, which whoever counts them must do first.
Processor time counts: there is nothing to wait for, and what else the machine does is no cost of ours.
"""

import time
from collections.abc import Callable
from statistics import median

from services.alerting.core.exported.exposition import Facts, exposition
from services.alerting.core.exported.scraped import Scrapes, scrapes_of
from steward.alerting.monitoring import ScrapeKind, ScrapeProfile
from steward.alerting.targets import targets_in
from steward.jsonvalue import Json, JsonObject, text
from steward.linkerd import marks
from steward.linkerd.inventory import Inventory
from steward.linkerd.pods import trim
from tests.bench.row import Row
from tests.services.alerting.core.prometheus import answer, target
from tests.services.alerting.meshes import mesh, namespace

PODS = 10_000
NAMESPACES = 1_000
ROUNDS = 7
BAR_MS = 100.0
_PLAIN = 10
"""Every so many pods one has no proxy."""


def pod_objects(pods: int) -> list[JsonObject]:
    """Pods as the API server lists them."""
    return [_pod(number) for number in range(pods)]


def inventory_of(objects: list[JsonObject]) -> Inventory:
    """The mesh with these pods, whose namespaces all ask for proxies."""
    spaces = sorted({text(each, "metadata", "namespace") for each in objects})
    return mesh(*(namespace(name, "enabled") for name in spaces), *map(trim, objects))


def targets_of(objects: list[JsonObject]) -> Json:
    """What Prometheus tells of their proxies."""
    return answer(
        *(
            target(
                "linkerd-proxy",
                pod=text(each, "metadata", "name"),
                namespace=text(each, "metadata", "namespace"),
                labels={f"label_{number}": "value" for number in range(10)},
                discovered={f"pod_label_{number}": "value" for number in range(30)},
            )
            for each in objects
        )
    )


async def measure(pods: int = PODS) -> list[Row]:
    """The computation beside the reading of the list and beside the bar."""
    objects = pod_objects(pods)
    told = targets_of(objects)
    reading = _milliseconds(lambda: [trim(each) for each in objects])
    facts = Facts(inventory_of(objects))
    scrapes = scrapes_of(targets_in(told), ScrapeProfile(ScrapeKind.VIZ).proxies)
    _prove(facts, scrapes, pods)
    took = _milliseconds(lambda: exposition(facts, scrapes))
    targets = _milliseconds(lambda: targets_in(told))
    name = f"gauges of {pods:,} pods"
    return [
        Row(name, "ms", took, "reading the list", reading, reading / took),
        Row(name, "ms", took, "bar", BAR_MS, BAR_MS / took),
        Row(f"reading {pods:,} scrape targets", "ms", targets, "reading the pods", reading, reading / targets),
    ]


def _prove(facts: Facts, scrapes: Scrapes, pods: int) -> None:
    seen = exposition(facts, scrapes)
    bare = len(range(0, pods, _PLAIN))
    assert sum(each.value for each in seen.unmeshed_pods) == bare
    assert sum(each.value for each in seen.meshed_pods) == pods - bare
    assert sum(each.value for each in seen.unscraped_proxies) == 0


def _milliseconds(what: Callable[[], object]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        what()
        took.append((time.process_time() - began) * 1000)
    return median(took)


def _pod(number: int) -> JsonObject:
    space, plain = f"team-{number % NAMESPACES}", number % _PLAIN == 0
    labels: JsonObject = {"app": "web", "pod-template-hash": "abc"}
    proxy: JsonObject = {"name": marks.PROXY_CONTAINER, "image": "cr.l5d.io/linkerd/proxy:edge-26.8.3"}
    if not plain:
        labels[marks.CONTROL_PLANE_NS] = "linkerd"
    return {
        "metadata": {
            "name": f"web-abc-{number}",
            "namespace": space,
            "uid": f"uid-{number}",
            "creationTimestamp": "2026-06-18T12:00:00Z",
            "labels": labels,
            "ownerReferences": [{"kind": "ReplicaSet", "name": "web-abc", "controller": True}],
        },
        "spec": {"initContainers": [] if plain else [proxy], "containers": [{"name": "app", "image": "example/web:1"}]},
        "status": {
            "phase": "Running",
            "podIP": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}",
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
