"""Truth tables of access: who may call what, as steps that try each line and as a proof that judges them all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from services.conformance.core import diagnosis as why
from services.conformance.core.evidence import Evidence, NotTold
from services.conformance.core.known_causes import COMMON, cautious
from services.conformance.core.orders import Call, Reply
from services.conformance.core.probe import Cause
from services.conformance.core.proofs import (
    Maker,
    Series,
    all_are,
    between,
    counter_grew,
    good,
    made_by,
    maker,
    tally,
    within,
)
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Applied, Calls, Pages, Step, Until
from steward.conformance.results import AssertionResult
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, table, text

Objects = Callable[[Stage], tuple[JsonObject, ...]]
BEFORE, AFTER, APPLIED, FORCE = "page-before", "page-after", "applied", "in-force"
GRPC_DENIED, GRPC_UNKNOWN = 7, 5
NOBODY_AUTHORIZED = "AUTHORIZATION_NOT_TOLD"
"""The code of a cause that is no cause where a probe takes the authorization away itself."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table. `refused` is the HTTP status (or gRPC code) of a refusal; 0: the connection ends."""

    name: str
    actor: str
    call: Callable[[Stage], Call]
    allowed: bool
    refused: int = 403
    times: int = 5


@dataclass(frozen=True, slots=True)
class Table:
    """Objects, and what must then be so. `first` names the line whose answer tells that the objects are in force."""

    objects: Objects
    lines: tuple[Line, ...]
    first: str
    server: str
    """Whose proxy counts; empty where its metrics are closed to us too."""
    denials: Series | None = None
    allowances: Series | None = None
    bound: Callable[[Stage], timedelta] = field(default=lambda stage: stage.timings.propagation)

    def steps(self, stage: Stage) -> tuple[Step, ...]:
        """Apply, wait for the effect on traffic, then try every line between two looks at the server's proxy."""
        leading = next(line for line in self.lines if line.name == self.first)
        wish = "is let through" if leading.allowed else "is refused"
        return (
            Applied(APPLIED, self.objects(stage)),
            Until(
                FORCE,
                leading.actor,
                leading.call(stage).model_copy(update={"times": 1, "keep": False}),
                lambda reply: fits(leading, reply),
                f"{leading.name} {wish}",
                self.bound(stage),
            ),
            *self._look(BEFORE),
            *(
                Calls(line.name, line.actor, line.call(stage).model_copy(update={"times": line.times, "keep": False}))
                for line in self.lines
            ),
            *self._look(AFTER),
        )

    def _look(self, name: str) -> tuple[Step, ...]:
        return (Pages(name, self.server),) if self.server else ()

    def proof(self, stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        """Every line as it should be, and the server's proxy counted what it did."""
        found = [within("in force", evidence.effect(FORCE), self.bound(stage))]
        for line in self.lines:
            replies = evidence.replies(line.name)
            found.append(all_are(line.name, replies, _wanted(line), partial(fits, line)))
            if not line.allowed and line.refused >= 400:
                found.append(made_by(f"{line.name}: refused by", replies, Maker.SERVER_PROXY))
        return (*found, *self._counted(evidence))

    def _counted(self, evidence: Evidence) -> tuple[AssertionResult, ...]:
        if not self.server:
            return ()
        found, pages = [], between(evidence, BEFORE, AFTER)
        denied = sum(line.times for line in self.lines if not line.allowed and line.refused in (403, GRPC_DENIED, 0))
        if self.denials is not None and denied:
            found.append(counter_grew("denials counted", pages, self.denials, denied))
        if self.allowances is not None:
            allowed = sum(line.times for line in self.lines if line.allowed)
            found.append(counter_grew("allowances counted", pages, self.allowances, allowed))
        return tuple(found)

    def causes(self, server: str, port: int) -> tuple[Cause, ...]:
        """What breaks policies, before what breaks everything."""
        told = (_not_told(server, port), _nobody_told(server, port)) if self._opens else (_not_told(server, port),)
        return (*told, self._open(server), self._refused(server), self._otherwise(server), *COMMON)

    @property
    def _opens(self) -> bool:
        """Whether the table has somebody whom an authorization lets through a closed port."""
        return any(line.allowed for line in self.lines) and any(not line.allowed for line in self.lines)

    def _refused(self, server: str) -> Cause:
        def seen(_stage: Stage, evidence: Evidence) -> str | None:
            shut = [
                line.name
                for line in self.lines
                if line.allowed and line.name in evidence and any(map(_is_refusal, evidence.replies(line.name)))
            ]
            return f"refused by the server's proxy although allowed: {', '.join(shut)}" if shut else None

        return Cause(
            code="POLICY_DENY",
            rung=Rung.PROXY,
            seen=cautious(seen),
            message="The proxy of the server refuses whom the policy lets through.",
            expected="clients that the policy names are let through",
            disproof="The same call by hand is answered.",
            remedy="See which Server and which authorization the proxy counts the refusal under; restart its pods.",
            command=f"linkerd diagnostics policy -n <namespace> pod/<pod of {server}> <port>",
        )

    def _otherwise(self, server: str) -> Cause:
        def seen(_stage: Stage, evidence: Evidence) -> str | None:
            odd = [said for line in self.lines if line.name in evidence and (said := _odd(line, evidence))]
            return "; ".join(odd) or None

        return Cause(
            code="REFUSED_OTHERWISE",
            rung=Rung.PROXY,
            seen=cautious(seen),
            message="The proxy of the server refuses whom it should, and tells it in other words than it should.",
            expected="403 or 404 for HTTP, the status PermissionDenied or NotFound for gRPC",
            disproof="The same call by hand is refused with the status that is expected.",
            remedy="Clients that act by the status misread it: compare the versions of the proxies of both sides.",
            command=f"linkerd diagnostics proxy-metrics -n <namespace> po/<pod of {server}> | grep authz_deny",
        )

    def _open(self, server: str) -> Cause:
        def seen(_stage: Stage, evidence: Evidence) -> str | None:
            through = [
                line.name
                for line in self.lines
                if not line.allowed and line.name in evidence and any(map(good, evidence.replies(line.name)))
            ]
            return f"let through although refused by policy: {', '.join(through)}" if through else None

        return Cause(
            code="FAIL_OPEN",
            rung=Rung.PROXY,
            seen=cautious(seen),
            message="The proxy of the server lets through what the policy refuses.",
            expected="clients that no authorization names are refused",
            disproof="The clients named here are refused with 403, and inbound_http_authz_deny_total counts them.",
            remedy="Restart the server's pods; until then treat what stands behind them as open.",
            command=f"linkerd diagnostics policy -n <namespace> pod/<pod of {server}> <port>",
        )


def _odd(line: Line, evidence: Evidence) -> str:
    """How a line was refused that should have been, where that is not how the policy refuses."""
    answers = [reply for reply in evidence.replies(line.name) if reply.trouble is None]
    if line.allowed or not line.refused or not answers or any(good(each) or fits(line, each) for each in answers):
        return ""
    return f"{line.name}: {tally(answers)} in place of {_wanted(line)}"


def _is_refusal(reply: Reply) -> bool:
    return maker(reply) is Maker.SERVER_PROXY and (reply.status == 403 or reply.grpc_status == GRPC_DENIED)


def fits(line: Line, reply: Reply) -> bool:
    """Whether a reply is what the line promises."""
    if line.allowed:
        return good(reply)
    if line.refused == 0:
        return reply.trouble is not None
    if line.refused < 100:
        return reply.grpc_status == line.refused
    return reply.status == line.refused


def _nobody_told(server: str, port: int) -> Cause:
    """The policy controller tells the proxy of the Server, and of nobody who may pass."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        told = evidence.told(why.INBOUND)
        if isinstance(told, NotTold) or not told.answers:
            return None
        answers = [answer for answer in told.answers.values() if text(answer, "labels", "name") == server]
        if not answers or any(map(_admits, answers)):
            return None
        return f"Server {server} is told without any authorization"

    return Cause(
        code=NOBODY_AUTHORIZED,
        rung=Rung.CONTROL_PLANE,
        seen=cautious(seen),
        message="The policy controller does not tell the proxy whom its policies let through.",
        expected=f"the authorizations of Server {server}",
        disproof="`linkerd diagnostics policy` shows the authorizations of the port.",
        remedy="See that the AuthorizationPolicy names the Server or its route, and what it requires exists.",
        command=f"linkerd diagnostics policy -n <namespace> pod/<pod> {port}",
    )


def _admits(answer: JsonObject) -> bool:
    """Whether an answer holds an authorization anywhere, of the Server or of a route of it."""
    if rows(answer, "authorizations"):
        return True
    kinds = table(answer, "protocol").values()
    routes = [route for kind in kinds for route in (*rows(kind, "httpRoutes"), *rows(kind, "routes"))]
    return any(rows(route, "authorizations") for route in routes)


def _wanted(line: Line) -> str:
    if line.allowed:
        return "let through"
    return "connection ended" if line.refused == 0 else f"refused with {line.refused}"


def _not_told(server: str, port: int) -> Cause:
    """The policy controller tells the proxy of another Server, or of none."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        told = evidence.told(why.INBOUND)
        if isinstance(told, NotTold):
            return f"the policy controller answers {told.code}: {told.message}"
        names = {text(answer, "labels", "name") for answer in told.answers.values()}
        if not names or server in names:
            return None
        return f"the policy controller tells of {', '.join(sorted(names)) or 'no Server'} on port {port}"

    return Cause(
        code="POLICY_NOT_TOLD",
        rung=Rung.CONTROL_PLANE,
        seen=cautious(seen),
        message="The policy controller does not tell the proxy of the Server that stands in the cluster.",
        expected=f"the Server {server} on port {port}",
        disproof="`linkerd diagnostics policy` shows this Server for the port.",
        remedy="See that the Server's podSelector and port fit the pod, and that the policy controller is ready.",
        command=f"linkerd diagnostics policy -n <namespace> pod/<pod> {port}",
    )
