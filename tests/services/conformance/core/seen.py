"""Evidence made by hand: what the steps of a probe would have found."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from services.conformance.core.evidence import Evidence, Failure, Found, NotTold, Told, Turned, Would
from services.conformance.core.orders import Echo, Fetched, Headers, Replies, Reply, Report
from services.conformance.core.pages import Sample, page_of
from services.conformance.core.probe import Probe
from services.conformance.core.stage import Need, Place, Stage
from steward.conformance.results import AssertionResult
from steward.jsonvalue import Json, JsonObject
from steward.linkerd.version import Version

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=5)
MESHED, PLAIN = "steward-meshed", "steward-plain"


def place(pod: str, number: int, namespace: str = MESHED) -> Place:
    """A pod of the cast."""
    proxy = "edge-26.8.3" if namespace == MESHED else ""
    return Place(pod, namespace, f"10.0.0.{number}", node=f"node-{number % 2}", zone="a", proxy=proxy)


STAGE = Stage(
    run="run-1",
    meshed=MESHED,
    plain=PLAIN,
    owner={"steward.linkerd.io/run": "run-1", "steward.linkerd.io/owner-uid": "uid-1"},
    linkerd=Version.parse("edge-26.8.3"),
    image="registry.example/steward:1",
    places={
        "cm": (place("cm-0", 1),),
        "cn": (place("cn-0", 2),),
        "sm": (place("v1-0", 3), place("v1-1", 4), place("v2-0", 5)),
        "v1": (place("v1-0", 3), place("v1-1", 4)),
        "v2": (place("v2-0", 5),),
        "sp": (place("sp-0", 6),),
        "ss": (place("ss-0", 7), place("ss-1", 8)),
        "cu": (place("cu-0", 9, PLAIN),),
        "su": (place("su-0", 10, PLAIN),),
    },
    has=frozenset(Need),
)
CLIENT = STAGE.identity("probe-client")
SERVER = STAGE.identity("probe-server")


def echoed(*headers: tuple[str, str], pod: str = "v1-0", protocol: str = "HTTP/1.1") -> Echo:
    """What the echo server said."""
    return Echo(pod=pod, headers=headers, protocol=protocol)


def answer(*headers: tuple[str, str], pod: str = "v1-0", status: int | None = 200, **more: object) -> Reply:
    """An answer of the application, to whom the client's proxy gave these headers."""
    given: dict[str, object] = {"at": NOW, "status": status, "echo": echoed(*headers, pod=pod), "connection": 1}
    return Reply.model_validate(given | more)


def refusal(status: int, error: str = "", **more: object) -> Reply:
    """An answer of a proxy; with `error` of the client's own."""
    headers: Headers = (("content-length", "0"), *((("l5d-proxy-error", error),) if error else ()))
    return Reply.model_validate({"at": NOW, "status": status, "headers": headers, **more})


def silence(trouble: str, **more: object) -> Reply:
    """No answer."""
    return Reply.model_validate({"at": NOW, "trouble": trouble, **more})


def calls(*replies: Reply, ended: datetime = LATER, times: int = 1) -> Found:
    """The evidence of calls."""
    seen = Replies(replies=replies * times)
    report = Report(order="o", agent="a", pod="cm-0", started_at=NOW, ended_at=ended, seen=seen)
    return Found(reports=(report,))


def fetched(status: int | None, body: str = "") -> Found:
    """The evidence of a fetch; also that of the clock."""
    seen = Fetched(status=status, body=body)
    return Found(reports=(Report(order="o", agent="a", pod="cm-0", started_at=NOW, ended_at=NOW, seen=seen),))


def sample(name: str, value: float, **labels: str) -> Sample:
    """One line of a page."""
    return Sample(name, {key.rstrip("_"): text for key, text in labels.items()}, value)


def pages(**of: list[Sample]) -> Found:
    """The evidence of pages, by pod (`cm_0` is `cm-0`)."""
    written = {pod.replace("_", "-"): "\n".join(_written(each) for each in samples) for pod, samples in of.items()}
    return Found(pages={pod: page_of(text) for pod, text in written.items()})


def _written(sample: Sample) -> str:
    labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
    return f"{sample.name}{{{labels}}} {sample.value!r}"


def objects(*things: JsonObject) -> Found:
    """The evidence of a look."""
    return Found(objects=things)


def told(**answers: JsonObject) -> Found:
    """What replicas of the control plane told."""
    return Found(told=Told(answers))


def not_told(code: str) -> Found:
    """The control plane did not answer."""
    return Found(told=NotTold(code, "connection refused"))


def would(thing: JsonObject) -> Found:
    """A dry run that passed."""
    return Found(trial=Would(thing))


def turned(message: str, status: int = 403) -> Found:
    """A dry run that was refused."""
    return Found(trial=Turned(status, message))


def failure(reason: str = "Forbidden") -> Found:
    """A step that could not be done."""
    return Found(failure=Failure(reason, "not allowed"))


def endpoints(*addresses: str, port: int = 8080, identity: str = SERVER) -> JsonObject:
    """What destination tells of a Service."""
    named: JsonObject = {"dnsLikeIdentity": {"name": identity}} if identity else {}
    rows: list[Json] = [{"addr": {"ip": ip, "port": port}, "tlsIdentity": named} for ip in addresses]
    return {"add": {"addrs": rows}}


def slices(*addresses: str) -> JsonObject:
    """An EndpointSlice."""
    rows: list[Json] = [{"addresses": [ip], "conditions": {"ready": True}} for ip in addresses]
    return {"kind": "EndpointSlice", "endpoints": rows}


def pod(
    name: str,
    annotations: Mapping[str, str] | None = None,
    *,
    proxy: bool = True,
    namespace: str = MESHED,
    ip: str = "",
) -> JsonObject:
    """A pod, whose proxy is a native sidecar."""
    sidecar: list[Json] = [{"name": "linkerd-proxy"}] if proxy else []
    return {
        "metadata": {"name": name, "namespace": namespace, "annotations": dict(annotations or {}), "labels": {}},
        "spec": {"initContainers": sidecar, "containers": [{"name": "exerciser"}]},
        "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": "True"}]},
    }


def evidence(steps: Mapping[str, Found], **changed: Found) -> Evidence:
    """The evidence of these steps, some of them changed (`by_service` is `by-service`)."""
    return Evidence({**steps, **{name.replace("_", "-"): found for name, found in changed.items()}})


def wrong(results: tuple[AssertionResult, ...]) -> list[str]:
    """Names of the assertions that do not hold."""
    return [result.name for result in results if not result.ok]


def judged(probe: Probe, found: Evidence) -> list[str]:
    """What of a probe's proof does not hold."""
    results = probe.proof(STAGE, found)
    assert results, "a proof must assert something"
    return wrong(results)


def causes(probe: Probe, found: Evidence) -> list[str]:
    """Codes of the causes that are seen."""
    return [cause.code for cause in probe.causes if cause.seen(STAGE, found) is not None]
