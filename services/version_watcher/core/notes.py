"""The list of releases, as GitHub's API gives it: when each appeared, what its notes advise, digests of its files."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from services.version_watcher.core.advice import Advice, read_advice
from services.version_watcher.core.reading import Nothing, Problem, Read, unreadable
from steward.jsonvalue import Json, JsonObject, flag, rows, text
from steward.linkerd.version import Version
from steward.resources.rules import DIGEST

MOST_RELEASES = 1000
_DIGEST = re.compile(DIGEST)
_LONGEST_URL = 2048


@dataclass(frozen=True, slots=True)
class ReleaseNote:
    """One published release."""

    version: Version
    published_at: datetime | None
    url: str
    advice: Advice
    digests: dict[str, str]
    """SHA-256 of the CLI for each system, as `linkerd-<system>`."""


@dataclass(frozen=True, slots=True)
class Notes:
    """Every release that could be read."""

    releases: tuple[ReleaseNote, ...]


def read_notes(body: bytes) -> Read[Notes] | Nothing:
    """The releases in one answer of the API."""
    published = _published(body)
    if isinstance(published, Nothing):
        return published
    notes: list[ReleaseNote] = []
    problems: list[Problem] = []
    for row in published[:MOST_RELEASES]:
        found = _note(row)
        if isinstance(found, ReleaseNote):
            notes.append(found)
        elif found is not None:
            problems.append(found)
    if not notes:
        return Nothing("NoReleases", "the list has no published release with a readable tag", reached=True)
    return Read(Notes(tuple(notes)), tuple(problems))


def _published(body: bytes) -> list[JsonObject] | Nothing:
    refusal = unreadable(body, "the list of releases")
    if refusal is not None:
        return refusal
    try:
        parsed = cast("Json", json.loads(body))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        return Nothing("NotJson", f"the list of releases is not JSON: {error}", reached=True)
    if not isinstance(parsed, list):
        said = text(parsed, "message")
        more = f"; the answer says: {said[:200]}" if said else ""
        return Nothing("NotAList", f"expected a list of releases{more}", reached=True)
    return rows({"releases": parsed}, "releases")


def _note(row: JsonObject) -> ReleaseNote | Problem | None:
    tag = text(row, "tag_name")[:128]
    if flag(row, "draft"):
        return None
    version = Version.maybe(tag)
    if version is None:
        return Problem(tag or "a release", "UnknownFormat", f"release {tag!r} has no tag that names a version")
    url = text(row, "html_url")
    return ReleaseNote(
        version=version,
        published_at=_moment(text(row, "published_at")),
        url=url if url.startswith("https://") and len(url) <= _LONGEST_URL else "",
        advice=read_advice(version, text(row, "body")),
        digests=_digests(row, tag),
    )


def _digests(row: JsonObject, tag: str) -> dict[str, str]:
    prefix = f"linkerd2-cli-{tag}-"
    found = {}
    for asset in rows(row, "assets"):
        name, digest = text(asset, "name"), text(asset, "digest")
        if name.startswith(prefix) and not name.endswith(".sha256") and _DIGEST.fullmatch(digest):
            found[f"linkerd-{name.removeprefix(prefix)}"] = digest
    return found


def _moment(stamp: str) -> datetime | None:
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return parsed if parsed.tzinfo is not None else None
