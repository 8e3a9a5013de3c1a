"""Values of the configuration as messages of the proxy API: what both directions have in common."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from steward.proxy_api.meta_pb2 import Metadata, Resource
from steward.proxy_api.route_pb2 import (
    FailureInjector,
    GrpcMatch,
    HeaderModifier,
    Headers,
    HostMatch,
    HttpFilter,
    HttpMatch,
    Method,
    PathMatch,
    PathModifier,
    RpcMatch,
    Scheme,
    ValueMatch,
)
from steward.proxy_api.route_pb2 import Redirect as WireRedirect
from steward.testing.dataplane.config import HeaderChange, HeaderMatch, Labels, Match, Meta, Redirect


def duration(length: timedelta | None) -> Duration | None:
    """A length of time."""
    if length is None:
        return None
    made = Duration()
    made.FromTimedelta(length)
    return made


def metadata(meta: Meta) -> Metadata:
    """An object, or the name of something implicit."""
    if meta.kind == "default":
        return Metadata(default=meta.name)
    return Metadata(
        resource=Resource(
            group=meta.group,
            kind=meta.kind,
            name=meta.name,
            namespace=meta.namespace,
            section=meta.section,
            port=meta.port,
        )
    )


def hosts(names: Iterable[str]) -> list[HostMatch]:
    """Names of hosts, `*.` in front of a suffix."""
    return [
        HostMatch(suffix=HostMatch.Suffix(reverse_labels=list(reversed(name[2:].split(".")))))
        if name.startswith("*.")
        else HostMatch(exact=name)
        for name in names
    ]


def http_match(match: Match) -> HttpMatch:
    """A match of requests."""
    made = HttpMatch(headers=_values(match.headers), query_params=_values(match.query))
    path = path_match(match)
    if path is not None:
        made.path.CopyFrom(path)
    if match.method:
        made.method.CopyFrom(method(match.method))
    return made


def grpc_match(match: Match) -> GrpcMatch:
    """A match of calls, whose path is `/service/method`."""
    service, _, name = (match.path_exact or match.path_prefix).lstrip("/").partition("/")
    return GrpcMatch(rpc=RpcMatch(service=service, method=name), headers=_values(match.headers))


def path_match(match: Match) -> PathMatch | None:
    """A match of paths."""
    if match.path_exact:
        return PathMatch(exact=match.path_exact)
    if match.path_prefix:
        return PathMatch(prefix=match.path_prefix)
    return PathMatch(regex=match.path_regex) if match.path_regex else None


def method(name: str) -> Method:
    """A method by its number, or by its name where it has none."""
    if name in Method.Registered.keys():  # noqa: SIM118  # not a mapping
        return Method(registered=name)
    return Method(unregistered=name)


def filters(
    requests: HeaderChange | None, responses: HeaderChange | None = None, redirect: Redirect | None = None
) -> list[HttpFilter]:
    """What is done to messages."""
    return list(_filters(requests, responses, redirect))


def failure(status: int, message: str) -> HttpFilter:
    """Every request fails."""
    return HttpFilter(failure_injector=FailureInjector(status=status, message=message))


def _filters(
    requests: HeaderChange | None, responses: HeaderChange | None, redirect: Redirect | None
) -> Iterator[HttpFilter]:
    if requests is not None:
        yield HttpFilter(request_header_modifier=_modifier(requests))
    if responses is not None:
        yield HttpFilter(response_header_modifier=_modifier(responses))
    if redirect is not None:
        yield HttpFilter(redirect=_redirect(redirect))


def _modifier(change: HeaderChange) -> HeaderModifier:
    return HeaderModifier(add=_headers(change.add), set=_headers(change.set), remove=change.remove)


def _headers(pairs: Labels) -> Headers:
    return Headers(headers=[Headers.Header(name=name, value=value) for name, value in pairs])


def _redirect(redirect: Redirect) -> WireRedirect:
    made = WireRedirect(host=redirect.hostname, port=redirect.port, status=redirect.status)
    if redirect.scheme:
        made.scheme.CopyFrom(Scheme(registered=Scheme.HTTPS if redirect.scheme == "https" else Scheme.HTTP))
    if redirect.path:
        made.path.CopyFrom(PathModifier(full=redirect.path))
    elif redirect.path_prefix:
        made.path.CopyFrom(PathModifier(prefix=redirect.path_prefix))
    return made


def _values(wanted: Iterable[HeaderMatch]) -> list[ValueMatch]:
    return [
        ValueMatch(name=one.name, regex=one.value) if one.regex else ValueMatch(name=one.name, exact=one.value)
        for one in wanted
    ]
