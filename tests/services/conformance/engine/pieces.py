"""Small probes for tests of the engine: what they try is a call, and what they prove is its status."""

from collections.abc import Callable
from datetime import timedelta

from services.conformance.core.evidence import Evidence
from services.conformance.core.orders import Hold
from services.conformance.core.probe import Control, Probe, check
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Applied, Asked, Calls, Released, Step
from services.conformance.core.targets import at_service, get
from steward.conformance.results import AssertionResult, Tier
from steward.jsonvalue import JsonObject
from steward.kube.resources import CONFIG_MAPS, PODS


def answered(path: str, *, times: int = 1) -> Callable[[Stage], tuple[Step, ...]]:
    """Calls of a path."""
    return lambda stage: (Calls("call", "cm", get(at_service(stage, "sm"), path, times=times)),)


def well(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    """Every call was answered with 200."""
    return (check("status", expected={200}, observed={each.status for each in evidence.replies("call")}),)


def probe(id: str, path: str = "", **more: object) -> Probe:
    """A probe that calls a path of its own."""
    given = {"tier": Tier.FOUNDATION, "bound": timedelta(seconds=5), **more}
    return Probe(id=id, claim=f"{id} works.", steps=answered(path or f"/{id}"), proof=well, **given)  # type: ignore[arg-type] # given by tests


def controlled(id: str, path: str) -> Probe:
    """A probe whose negative control calls another path, which must answer well."""
    return probe(id, control=Control("the prober itself works", answered(path), well))


def applying(id: str, name: str) -> Probe:
    """A probe that brings an object along."""

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        metadata: JsonObject = {"name": name, "namespace": stage.meshed, "labels": dict(stage.owner)}
        return ({"apiVersion": "v1", "kind": CONFIG_MAPS.kind, "metadata": metadata, "data": {"a": "b"}},)

    def steps(stage: Stage) -> tuple[Step, ...]:
        return (*answered(f"/{id}")(stage), Applied("more", objects(stage)))

    return Probe(
        id=id,
        claim=f"{id} works.",
        tier=Tier.FOUNDATION,
        objects=objects,
        steps=steps,
        proof=well,
        bound=timedelta(seconds=5),
    )


def bringing(id: str, name: str) -> Probe:
    """A probe that brings a pod, which ends when somebody takes its finalizer away; with room for no other."""

    def objects(stage: Stage) -> tuple[JsonObject, ...]:
        metadata: JsonObject = {
            "name": name,
            "namespace": stage.meshed,
            "labels": dict(stage.owner),
            "finalizers": ["conformance.test/hold"],
        }
        spec: JsonObject = {"containers": [{"name": "main", "image": stage.image}]}
        return ({"apiVersion": "v1", "kind": PODS.kind, "metadata": metadata, "spec": spec},)

    return probe(id, objects=objects, extra_pods=2)


def held(id: str) -> Probe:
    """A connection that is opened in one cycle and judged in the next."""

    def steps(stage: Stage) -> tuple[Step, ...]:
        return (
            Asked("open", "cm", Hold(name=id, target=at_service(stage, "sm"))),
            Released("closed", "cm", id),
        )

    def proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        return (check("open until now", expected=True, observed=evidence.held("closed").open),)

    return Probe(
        id=id,
        claim="Connections live on.",
        tier=Tier.FOUNDATION,
        steps=steps,
        proof=proof,
        soak=True,
        bound=timedelta(seconds=5),
    )
