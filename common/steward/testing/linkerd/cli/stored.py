"""What an installation by the CLI leaves behind for the next command, and what flags change of it."""

from collections.abc import Iterable
from pathlib import Path
from re import compile as pattern
from typing import cast

import yaml

from steward.jsonvalue import Json, JsonObject
from steward.testing.linkerd.certificates import Pair, Trust
from steward.testing.linkerd.cli.flags import Flag, Parsed
from steward.testing.linkerd.cli.seen import Seen
from steward.testing.linkerd.manifests import OVERRIDES_SECRET
from steward.testing.linkerd.values import HIGH_AVAILABILITY, Installation, Method, load, merged

NOT_BY_CLI = (
    f"Could not find the {OVERRIDES_SECRET} secret.\n"
    "\t\t\tIf Linkerd was installed with Helm, please use Helm to perform upgrades\n"
)

VALUE_FLAGS = (
    Flag("ha", "bool", "Enable HA deployment config for the control plane (default false)"),
    Flag(
        "identity-issuer-certificate-file", "string", "A path to a PEM-encoded file containing the issuer certificate"
    ),
    Flag("identity-issuer-key-file", "string", "A path to a PEM-encoded file containing the issuer's private key"),
    Flag("identity-trust-anchors-file", "string", "A path to a PEM-encoded file containing trust anchors"),
    Flag("set", "stringArray", "Set values on the command line (may be repeated; a.b=c)"),
    Flag("values", "stringArray", "Specify values in a YAML file", "f"),
)


_UNESCAPED_COMMA = pattern(r"(?<!\\),")
_UNESCAPED_DOT = pattern(r"(?<!\\)\.")
_WHOLE = pattern(r"0|-?[1-9]\d*")
_CONSTANTS: dict[str, Json] = {"true": True, "false": False, "null": None}


class Refused(Exception):
    """A command does not do what it was asked; the text goes to standard error."""


def overrides_of(parsed: Parsed) -> JsonObject:
    """The values that files and `--set` change, later ones winning."""
    changes: JsonObject = dict(HIGH_AVAILABILITY) if parsed.on("ha") else {}
    for name in parsed.all("values"):
        try:
            changes = merged(changes, load(Path(name).read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError) as error:
            raise Refused(f"{error}\n") from error
    for assignment in parsed.all("set"):
        for one in _assignments(assignment):
            changes = merged(changes, one)
    return changes


def _assignments(words: str) -> Iterable[JsonObject]:
    """`a.b=c,d=e` as helm reads it: a comma or a dot behind a backslash is part of the text."""
    for word in _UNESCAPED_COMMA.split(words):
        path, equals, value = word.partition("=")
        if not equals:
            raise Refused(f'failed parsing --set data: key "{path}" has no value\n')
        built: Json = _typed(value.replace("\\,", ","))
        for key in reversed(_UNESCAPED_DOT.split(path)):
            built = {key.replace("\\.", "."): built}
        yield cast("JsonObject", built)


def _typed(value: str) -> Json:
    if value in _CONSTANTS:
        return _CONSTANTS[value]
    return int(value) if _WHOLE.fullmatch(value) else value


def given_trust(parsed: Parsed, otherwise: Trust) -> Trust:
    """The anchors and the issuer that files name, the rest from `otherwise`."""
    anchors = _file(parsed, "identity-trust-anchors-file") or otherwise.anchors
    certificate = _file(parsed, "identity-issuer-certificate-file") or otherwise.issuer.certificate
    return Trust(anchors, Pair(certificate, _file(parsed, "identity-issuer-key-file") or otherwise.issuer.key))


def _file(parsed: Parsed, flag: str) -> str:
    name = parsed.word(flag)
    if not name:
        return ""
    try:
        return Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(f"{error}\n") from error


def stored_installation(seen: Seen, parsed: Parsed) -> Installation:
    """The installation in the cluster as this release would render it, with what the flags change."""
    content = seen.secret(OVERRIDES_SECRET).get(OVERRIDES_SECRET)
    if content is None:
        raise Refused(NOT_BY_CLI)
    values = merged(load(content), overrides_of(parsed))
    stored = Installation.stored(seen.options.release, values)
    trust = given_trust(parsed, stored.trust)
    return Installation.planned(seen.options.release, trust, Method.CLI, values)
