"""A meshed ingress, judged by evidence made by hand."""

from services.conformance.core.outbound import routed
from services.conformance.core.probes import ingress
from services.conformance.core.steps import Calls
from steward.jsonvalue import Json, JsonObject, text, texts
from tests.services.conformance.core.outbound_seen import (
    WHO_ANSWERS,
    Broken,
    Family,
    Steps,
    cases,
    controls,
    healthy,
    line,
)
from tests.services.conformance.core.seen import STAGE, answer, calls, objects, pages, refusal

_AS_ITSELF = ("l5d-client-id", STAGE.identity("probe-other"))
_OVERRIDE = ("l5d-dst-override", "p-ingress-named.steward-meshed.svc.cluster.local:8080")


def _pod(mode: str = "true") -> JsonObject:
    environment: list[Json] = [{"name": "LINKERD2_PROXY_INGRESS_MODE", "value": mode}] if mode else []
    proxy: JsonObject = {"name": "linkerd-proxy", "env": environment}
    return {"metadata": {"name": "p-ingress-x"}, "spec": {"initContainers": [proxy], "containers": []}}


def _routed(requests: float) -> Steps:
    return {"after": pages(p_ingress_x=[line(routed(STAGE, ingress.NAMED), requests)])}


_WELL: Steps = {
    "ingress": objects(_pod()),
    "before": pages(p_ingress_x=[]),
    "named": calls(answer(_AS_ITSELF, pod="v2-0"), times=3),
    "unnamed": calls(answer(_AS_ITSELF, pod="v1-0"), times=3),
    "ordinary": calls(answer(_OVERRIDE, pod="v1-0"), times=3),
    **_routed(3),
}
_HEADER = "ingress.header"
FAMILY = Family(
    probes=ingress.PROBES,
    healthy={_HEADER: _WELL},
    broken=(
        Broken(
            _HEADER,
            {
                "ingress": objects(_pod("")),
                "named": calls(answer(_AS_ITSELF, _OVERRIDE, pod="v1-0"), times=3),
            },
            "by that Service, whatever was dialled",
            "NOT_IN_INGRESS_MODE",
        ),
        Broken(
            _HEADER,
            {"named": calls(answer(_AS_ITSELF, _OVERRIDE, pod="v1-0"), times=3)},
            "and not the header",
            "OVERRIDE_IGNORED",
        ),
        Broken(
            _HEADER,
            {"named": calls(answer(pod="v2-0"), times=3)},
            "who sees the identity of the ingress",
            "INGRESS_PLAINTEXT",
        ),
        Broken(_HEADER, {"unnamed": calls(answer(pod="v1-0"), times=3)}, "as the ingress, too", "INGRESS_PLAINTEXT"),
        Broken(
            _HEADER,
            {"ordinary": calls(answer(pod="v2-0"), times=3)},
            "without ingress mode the header decides nothing",
            "OVERRIDE_HEEDED",
        ),
        Broken(
            _HEADER,
            {"unnamed": calls(answer(_AS_ITSELF, pod="v2-0"), times=3)},
            "those that name none go where they were dialled",
        ),
        Broken(_HEADER, {"named": calls(refusal(504, "failfast"), times=3)}, "that name a Service are answered"),
        Broken(_HEADER, _routed(1), "its proxy routes them as requests to that Service"),
    ),
    controls={_HEADER: WHO_ANSWERS},
)


def test_the_ingress_dials_a_pod_of_one_service_and_names_another() -> None:
    (probe,) = ingress.PROBES
    steps = {step.name: step for step in probe.steps(STAGE) if isinstance(step, Calls)}
    assert steps["named"].call.target.host == STAGE.pods("v1")[0].ip
    assert dict(steps["named"].call.headers) == dict([_OVERRIDE])
    assert steps["unnamed"].call.headers == ()


def test_the_pod_of_the_probe_is_an_ingress_with_an_identity_that_no_server_has() -> None:
    (probe,) = ingress.PROBES
    assert probe.objects is not None
    _, pods = probe.objects(STAGE)
    assert texts(pods, "spec", "template", "metadata", "annotations")["linkerd.io/inject"] == "ingress"
    assert text(pods, "spec", "template", "spec", "serviceAccountName") == "probe-other"


@healthy(FAMILY)
def test_a_healthy_mesh_passes(id: str) -> None:
    FAMILY.passes(id)


@cases(FAMILY)
def test_what_is_broken_is_noticed_and_named(case: Broken) -> None:
    FAMILY.notices(case)


@controls(FAMILY)
def test_a_broken_prober_is_not_believed(id: str) -> None:
    FAMILY.believes(id)


def test_nothing_is_left_out() -> None:
    FAMILY.complete()
