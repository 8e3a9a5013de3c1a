"""Rules of routes, as the Gateway API writes them: what they match, and what they do to messages."""

from steward.jsonvalue import JsonObject, dig, rows, strings, table, text, whole
from steward.testing.dataplane.config import HeaderChange, HeaderMatch, Labels, Match, Redirect

SUPPORTED_FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect")
_ALL = Match(path_prefix="/")


def matches_of(rule: JsonObject, kind: str) -> tuple[Match, ...]:
    """When the rule applies; one that says nothing applies always."""
    parse = _grpc if kind == "GRPCRoute" else _http
    return tuple(parse(one) for one in rows(rule, "matches")) or (_ALL if kind == "HTTPRoute" else Match(),)


def header_change(holder: JsonObject, kind: str) -> HeaderChange | None:
    """The header modifiers of one kind, together."""
    found = [table(one, kind[0].lower() + kind[1:]) for one in rows(holder, "filters") if text(one, "type") == kind]
    if not found:
        return None
    return HeaderChange(
        set=tuple(pair for one in found for pair in _pairs(one, "set")),
        add=tuple(pair for one in found for pair in _pairs(one, "add")),
        remove=tuple(name.lower() for one in found for name in strings(one, "remove")),
    )


def redirect_of(holder: JsonObject) -> Redirect | None:
    """The redirect, where there is one."""
    for one in rows(holder, "filters"):
        if text(one, "type") == "RequestRedirect":
            wanted = table(one, "requestRedirect")
            return Redirect(
                scheme=text(wanted, "scheme"),
                hostname=text(wanted, "hostname"),
                port=whole(wanted, "port"),
                path=text(wanted, "path", "replaceFullPath"),
                path_prefix=text(wanted, "path", "replacePrefixMatch"),
                status=whole(wanted, "statusCode", default=302),
            )
    return None


def unsupported_filters(route: JsonObject) -> list[str]:
    """Kinds of filters that Linkerd does not carry out; a route with one is not put in force."""
    return [
        text(one, "type")
        for rule in rows(route, "spec", "rules")
        for holder in (rule, *rows(rule, "backendRefs"))
        for one in rows(holder, "filters")
        if text(one, "type") not in SUPPORTED_FILTERS
    ]


def _http(match: JsonObject) -> Match:
    value = text(match, "path", "value", default="/")
    kind = text(match, "path", "type", default="PathPrefix")
    return Match(
        path_exact=value if kind == "Exact" else "",
        path_prefix=value if kind == "PathPrefix" else "",
        path_regex=value if kind == "RegularExpression" else "",
        method=text(match, "method"),
        headers=_values(match, "headers", lower=True),
        query=_values(match, "queryParams", lower=False),
    )


def _grpc(match: JsonObject) -> Match:
    service, method = text(match, "method", "service"), text(match, "method", "method")
    regex = text(match, "method", "type") == "RegularExpression"
    headers = _values(match, "headers", lower=True)
    if regex or (method and not service):
        return Match(path_regex=f"/{service or '[^/]+'}/{method or '[^/]+'}", headers=headers)
    if service and method:
        return Match(path_exact=f"/{service}/{method}", headers=headers)
    return Match(path_prefix=f"/{service}" if service else "", headers=headers)


def _values(match: JsonObject, member: str, *, lower: bool) -> tuple[HeaderMatch, ...]:
    return tuple(
        HeaderMatch(
            text(one, "name").lower() if lower else text(one, "name"),
            text(one, "value"),
            regex=text(one, "type") == "RegularExpression",
        )
        for one in rows(match, member)
    )


def _pairs(modifier: JsonObject, member: str) -> Labels:
    return tuple((text(one, "name").lower(), str(dig(one, "value"))) for one in rows(modifier, member))
