"""What the contract is checked against: a client, a namespace of the test's own, and shorthand for objects."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from steward.clock import SystemClock
from steward.jsonvalue import JsonObject, rows, text
from steward.kube.client import Kube
from steward.kube.resources import CRDS, Resource

R = TypeVar("R")

_POLL = timedelta(milliseconds=20)
_ENOUGH = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Subject:
    """An API server under test, fake or real."""

    kube: Kube
    namespace: str
    simulated: bool

    async def eventually(self, ask: Callable[[], Awaitable[R]], holds: Callable[[R], bool]) -> R:
        """The first answer that holds: controllers and caches of a real cluster take a moment."""
        clock = SystemClock()
        started = clock.monotonic()
        while True:
            answer = await ask()
            if holds(answer):
                return answer
            assert clock.monotonic() - started < _ENOUGH.total_seconds(), f"still {answer!r}"
            await clock.sleep(_POLL)

    async def gone(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Wait until the object does not exist."""
        await self.eventually(lambda: self.kube.find(resource, name, namespace), lambda found: found is None)

    def config_map(self, name: str, **data: str) -> JsonObject:
        """The simplest object there is."""
        return {"metadata": {"name": name, "namespace": self.namespace}, "data": {**data}}

    def deployment(self, name: str, image: str = "registry.example/web:1", replicas: int | None = None) -> JsonObject:
        """A Deployment of one container; no replicas unless asked for, so that nothing has to run."""
        labels: JsonObject = {"app": name}
        return {
            "metadata": {"name": name, "namespace": self.namespace, "labels": labels},
            "spec": {
                "replicas": replicas or 0,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": image}]}},
            },
        }

    def pod(self, name: str, **labels: str) -> JsonObject:
        """A pod that no scheduler will place."""
        spec: JsonObject = {
            "containers": [{"name": "web", "image": "registry.example/web:1"}],
            "schedulerName": "nobody",
            "automountServiceAccountToken": False,
        }
        return {"metadata": {"name": name, "namespace": self.namespace, "labels": {**labels}}, "spec": spec}

    @asynccontextmanager
    async def widgets(self, *, namespaced: bool = True) -> AsyncIterator[Resource]:
        """A custom resource with a schema worth the name, installed for one test."""
        plural = f"widgets-{self.namespace}"
        resource = Resource("contract.example", "v1", plural, "Widget", namespaced=namespaced)
        await self.kube.create(CRDS, _definition(resource))
        await self.eventually(lambda: self.kube.get(CRDS, str(resource)), _is_established)
        await self.eventually(lambda: self.kube.serves(resource), bool)
        try:
            yield resource
        finally:
            await self.kube.delete(CRDS, str(resource))


def _is_established(definition: JsonObject) -> bool:
    conditions = rows(definition, "status", "conditions")
    return any(text(one, "type") == "Established" and text(one, "status") == "True" for one in conditions)


def _definition(resource: Resource) -> JsonObject:
    spec: JsonObject = {
        "type": "object",
        "required": ["color"],
        "properties": {
            "color": {"type": "string", "enum": ["Red", "Green"]},
            "size": {"type": "integer", "minimum": 1, "maximum": 10, "default": 3},
            "code": {"type": "string", "pattern": "^[a-z]+$", "maxLength": 8},
            "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
            "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
            "list": {"type": "array", "items": {"type": "string"}},
            "parts": {
                "type": "array",
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
                "items": {
                    "type": "object",
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "weight": {"type": "integer"}},
                },
            },
        },
    }
    status: JsonObject = {
        "type": "object",
        "properties": {"phase": {"type": "string"}, "count": {"type": "integer"}, "replicas": {"type": "integer"}},
    }
    schema: JsonObject = {"type": "object", "properties": {"spec": spec, "status": status}}
    subresources: JsonObject = {
        "status": {},
        "scale": {"specReplicasPath": ".spec.size", "statusReplicasPath": ".status.replicas"},
    }
    version: JsonObject = {
        "name": resource.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": subresources,
    }
    names: JsonObject = {"plural": resource.plural, "kind": resource.kind}
    return {
        "metadata": {"name": str(resource)},
        "spec": {
            "group": resource.group,
            "scope": "Namespaced" if resource.namespaced else "Cluster",
            "names": names,
            "versions": [version],
        },
    }
