"""Conditions on labels as people write them: `NAME=VALUE`, `NAME!=VALUE`, `NAME=~REGEX`, `NAME!~REGEX`. Pure."""

import re
from collections.abc import Mapping, Sequence

from steward.alerting.promql import LABEL
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.jsonvalue import JsonObject, flag, text

_WRITTEN = re.compile(r"(?P<name>[^=!~\s]+)\s*(?P<operator>=~|!~|!=|=)\s*(?P<value>.*)", re.DOTALL)
_EXAMPLE = "write it like namespace=shop, or like alertname=~'Linkerd.*'"


def matchers(written: Sequence[str]) -> list[JsonObject]:
    """The matchers of a silence; a word by itself is the name of an alert. Raise Refusal where one cannot be meant."""
    found = [_matcher(each) for each in written]
    if all(_matches_nothing_given(each) for each in found):
        raise Refusal("a silence needs a label with a value, or it would silence every alert", _EXAMPLE, ExitCode.USAGE)
    return found


def labels(written: Sequence[str]) -> dict[str, str]:
    """The labels of an alert that is made up. Raise Refusal where one cannot be meant."""
    found: dict[str, str] = {}
    for each in written:
        name, equals, value = each.partition("=")
        _check(name, each)
        if not equals:
            raise Refusal(f"{each!r} is no label", "write it like namespace=shop", ExitCode.USAGE)
        if found.get(name, value) != value:
            raise Refusal(f"label {name!r} has two values: {found[name]!r} and {value!r}", "give one", ExitCode.USAGE)
        found[name] = value
    return found


def spelled_out(matcher: Mapping[str, object]) -> str:
    """A matcher of Alertmanager as it is written here."""
    given: JsonObject = {name: value for name, value in matcher.items() if isinstance(value, str | bool)}
    equal = flag(given, "isEqual", default=True)
    operator = ("=~" if equal else "!~") if flag(given, "isRegex") else ("=" if equal else "!=")
    return f"{text(given, 'name')}{operator}{text(given, 'value')}"


def _matcher(written: str) -> JsonObject:
    match = _WRITTEN.fullmatch(written)
    if match is None and LABEL.fullmatch(written):
        return {"name": "alertname", "value": written, "isRegex": False, "isEqual": True}
    if match is None:
        raise Refusal(f"{written!r} is no condition on a label", _EXAMPLE, ExitCode.USAGE)
    name, operator, value = match["name"], match["operator"], match["value"]
    _check(name, written)
    regex = operator.endswith("~")
    if regex:
        try:
            re.compile(value)
        except re.error as error:
            raise Refusal(f"{written!r} is no regular expression: {error}", "correct it", ExitCode.USAGE) from error
    return {"name": name, "value": value, "isRegex": regex, "isEqual": operator.startswith("=")}


def _matches_nothing_given(matcher: JsonObject) -> bool:
    """Whether an alert without this label fits too: Alertmanager wants one matcher where it does not."""
    value, equal = text(matcher, "value"), flag(matcher, "isEqual")
    fits_empty = re.fullmatch(value, "") is not None if flag(matcher, "isRegex") else not value
    return fits_empty is equal


def _check(name: str, written: str) -> None:
    if LABEL.fullmatch(name) is None:
        raise Refusal(
            f"{written!r}: {name!r} is no name of a label", "letters, digits and _ only, no digit first", ExitCode.USAGE
        )
