"""The way of a request through routes: rule, filters, timeouts, retries, a backend; with the figures of all that."""

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count

from steward.testing.dataplane.config import Backend, Meta, OutboundTarget, Retry, Route, Rule, Timeouts
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy import outbound_labels as labels
from steward.testing.dataplane.proxy.attempt import Backing, attempt
from steward.testing.dataplane.proxy.exchange import Request, Response, Version
from steward.testing.dataplane.proxy.failures import ExchangeFailed
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import (
    FORBIDDEN,
    HEADERS_TIMEOUT,
    MISSING_BACKEND,
    NO_ROUTE,
    REDIRECTED,
    OwnError,
    load_shed,
)
from steward.testing.dataplane.proxy.replay import Replay
from steward.testing.dataplane.proxy.request_overrides import overridden
from steward.testing.dataplane.proxy.retries import pause, peeked, unsatisfying
from steward.testing.dataplane.proxy.route_figures import AttemptFigures, RequestFigures
from steward.testing.dataplane.proxy.routing import Blind, changed, location, rule_for
from steward.testing.dataplane.proxy.target import Target
from steward.testing.dataplane.proxy.time_limits import TimeLimits

_DEFAULT = Meta("", "default", "http")


def _asked_for(route: Route) -> bool:
    """Whether an object asks for it; pods and Services without any have a default one."""
    return route.meta.kind != _DEFAULT.kind


@dataclass(frozen=True, slots=True)
class _Tried:
    response: Response
    figures: AttemptFigures


@dataclass(frozen=True, slots=True)
class _Effort:
    """How long to wait for the head of a response, and whether to look how it goes on."""

    patience: timedelta | None = None
    peeks: bool = False


class _TooLong(Exception):
    """An attempt took longer than one may that others can follow."""


@dataclass(frozen=True, slots=True)
class _Course:
    """What was found for one request."""

    rule: Rule
    figures: RequestFigures
    limits: TimeLimits
    replay: Replay


class RouteWay:
    """For the requests of one target."""

    def __init__(self, context: OutboundContext, target: Target) -> None:
        self._context = context
        self._target = target

    async def handle(self, request: Request) -> Response:
        """Raises `OwnError`, or what the connection to the server failed with."""
        route, rule, grpc = self._found(request)
        named = _DEFAULT if self._context.broken(broken.ROUTE_LABELS_WRONG) else route.meta
        figures = RequestFigures(self._context, self._target.current.parent, named, request, grpc=grpc)
        try:
            response = await self._along(rule, request, figures)
        except OwnError as error:
            figures.refused(error.kind)
            raise error.within(f"route {labels.named(route.meta)}") from None
        except ExchangeFailed:
            figures.failed("RESET")
            raise
        except BaseException:
            figures.failed("UNKNOWN")
            raise
        return figures.answered(response)

    def _found(self, request: Request) -> tuple[Route, Rule, bool]:
        target = self._target.current
        grpc = bool(target.grpc_routes) and request.version is Version.HTTP2
        routes = target.grpc_routes if grpc else target.http_routes or _plain(target)
        found = rule_for(routes, request, self._blind)
        if found is None and self._context.broken(broken.NO_ROUTE_IGNORED):
            found = rule_for(_plain(target), request, self._blind)
        if found is None or (_asked_for(found[0]) and self._context.broken(broken.ROUTES_NOT_FOUND)):
            raise OwnError(NO_ROUTE, "no route")
        return (*found, grpc)

    @property
    def _blind(self) -> Blind:
        return Blind(
            path=self._context.broken(broken.PATH_IGNORED),
            method=self._context.broken(broken.METHOD_IGNORED),
            headers=self._context.broken(broken.HEADER_MATCHES_IGNORED),
            query=self._context.broken(broken.QUERY_MATCHES_IGNORED),
            hosts=self._context.broken(broken.HOSTS_IGNORED),
        )

    async def _along(self, rule: Rule, request: Request, figures: RequestFigures) -> Response:
        if rule.redirect is not None and not self._context.broken(broken.REDIRECT_IGNORED):
            prefix = next((match.path_prefix for match in rule.matches if match.path_prefix), "")
            where = location(rule.redirect, request, prefix)
            raise OwnError(replace(REDIRECTED, status=rule.redirect.status, location=where), "redirected")
        if rule.allow_headers or self._context.broken(broken.HEADER_OVERRIDES_HEEDED):
            rule, headers = overridden(rule, request.headers)
            request = replace(request, headers=headers)
        if not self._context.broken(broken.FILTERS_IGNORED):
            request = replace(request, headers=changed(request.headers, rule.requests))
        replay = Replay(figures.sending(request.body))
        course = _Course(rule, figures, TimeLimits(self._timeouts(rule)), replay)
        response = course.limits.rest(await self._persistent(course, request))
        if self._context.broken(broken.RESPONSE_FILTERS_IGNORED):
            return response
        return replace(response, headers=changed(response.headers, rule.responses))

    def _timeouts(self, rule: Rule) -> Timeouts:
        limits = rule.timeouts
        if self._context.broken(broken.NO_TIMEOUTS):
            return Timeouts()
        if not self._context.broken(broken.TIMEOUTS_HALVED):
            return limits
        return Timeouts(*(each / 2 if each is not None else None for each in (limits.request, limits.response)))

    def _retry(self, rule: Rule, request: Request) -> Retry | None:
        if rule.retry is None or request.wants_upgrade or self._context.broken(broken.NO_RETRIES):
            return None
        if self._context.broken(broken.RETRIES_WITHOUT_BODY) and not request.body.empty:
            return None
        if self._context.broken(broken.RETRY_LIMIT_IGNORED):
            return replace(rule.retry, limit=rule.retry.limit * 3 + 2)
        return rule.retry

    async def _persistent(self, course: _Course, request: Request) -> Response:
        """Attempts until one is good enough or no more are allowed."""
        retry = self._retry(course.rule, request)
        if retry is None:
            tried = await self._tried(course, replace(request, body=course.replay.once()), _Effort())
            return tried.figures.answered(tried.response)
        for number in count():
            more = number < retry.limit and course.replay.possible
            effort = _Effort(retry.timeout if more else None, peeks=bool(retry.codes))
            try:
                tried = await self._tried(course, replace(request, body=course.replay.body()), effort)
            except _TooLong:
                pass
            else:
                verdict = self._verdict(course, retry, tried, number)
                if verdict == "retry":
                    tried.figures.discarded(tried.response)
                    await tried.response.body.close()
                else:
                    if verdict:
                        course.figures.retry(verdict)
                    return tried.figures.answered(tried.response)
            course.figures.retry("requests")
            await pause(self._context, number)
        raise AssertionError(request)

    @staticmethod
    def _verdict(course: _Course, retry: Retry, tried: _Tried, number: int) -> str:
        """Whether to retry, or else under which of the counters of retries the last answer goes."""
        if not unsatisfying(retry, tried.response):
            return "successes" if number else ""
        if number >= retry.limit:
            return "limit_exceeded"
        return "retry" if course.replay.possible else "overflow"

    async def _tried(self, course: _Course, request: Request, effort: _Effort) -> _Tried:
        """One attempt."""
        backend = await self._allowed(course)
        backing = self._backing(backend)
        if backing.balancer.shedding:
            raise load_shed()
        figures = AttemptFigures(self._context, course.figures, backend.meta)
        if not self._context.broken(broken.FILTERS_IGNORED):
            request = replace(request, headers=changed(request.headers, backend.requests))

        async def ask() -> Response:
            response = await attempt(self._context, backing, request)
            return await peeked(response) if effort.peeks else response

        try:
            return _Tried(await course.limits.head(ask, effort.patience), figures)
        except OwnError as error:
            figures.refused(error.kind)
            if error.kind is HEADERS_TIMEOUT:
                raise _TooLong from None
            raise error.within(self._place(backend)) from None
        except ExchangeFailed:
            figures.failed("RESET")
            raise
        except BaseException:
            figures.failed("UNKNOWN")
            raise

    async def _allowed(self, course: _Course) -> Backend:
        """The backend whose turn it is, if it exists and may be spoken to."""
        backend = self._picked(course.rule)
        if backend.forbidden and not self._context.broken(broken.EGRESS_ALLOWED):
            raise OwnError(FORBIDDEN, backend.forbidden)
        if not backend.missing:
            return backend
        if self._context.broken(broken.MISSING_BACKEND_HANGS):
            await asyncio.Event().wait()
        AttemptFigures(self._context, course.figures, backend.meta).refused(MISSING_BACKEND)
        raise OwnError(MISSING_BACKEND, backend.missing)

    def _place(self, backend: Backend) -> str:
        name = labels.named(backend.meta)
        return f"backend {name}: {name}" if self._target.current.balance else f"backend {name}"

    def _picked(self, rule: Rule) -> Backend:
        target = self._target.current
        backends = rule.backends or ((target.default,) if target.default is not None else ())
        if self._context.broken(broken.EGRESS_DENIED) and target.parent.kind == "EgressNetwork":
            raise OwnError(FORBIDDEN, "traffic not allowed")
        even = self._context.broken(broken.WEIGHTS_EVEN)
        if self._context.broken(broken.FIRST_BACKEND_ONLY):
            backends = backends[:1]
        picked = self._target.shares.pick(backends, lambda backend: 1 if even else backend.weight)
        if picked is None:
            raise OwnError(MISSING_BACKEND, "no backend has any weight")
        return picked

    def _backing(self, backend: Backend) -> Backing:
        balancer = self._target.balancer("http", backend)
        return Backing(balancer, penalize=self._target.current.penalize_failures)


def _plain(target: OutboundTarget) -> tuple[Route, ...]:
    """The route of a target that has none."""
    return (Route(_DEFAULT, (Rule(backends=(target.default,)),)),) if target.default is not None else ()
