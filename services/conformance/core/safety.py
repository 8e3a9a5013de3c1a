"""What may be deleted. Name, owner label and uid must all agree: one sign alone is somebody's mistake."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from steward.jsonvalue import JsonObject, text, texts
from steward.resources.conformance_run import OwnedNamespace

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "linkerd-steward-conformance"
RUN = "steward.linkerd.io/conformance-run"
RUN_UID = "steward.linkerd.io/conformance-run-uid"
ROLE = "steward.linkerd.io/probe-namespace"
PREFIX = "steward.linkerd.io/probe-prefix"
EXPIRES = "steward.linkerd.io/expires-at"

ROLES = ("mesh", "plain")


@dataclass(frozen=True, slots=True)
class Kept:
    """It is not ours, or not certainly ours."""

    reason: str


@dataclass(frozen=True, slots=True)
class Ours:
    """It may go, as long as it still has this uid."""

    name: str
    uid: str
    run_uid: str


def namespace_name(prefix: str, run_uid: str, role: str) -> str:
    """The name follows from the run: a namespace that has the label and another name is somebody's copy."""
    return f"{prefix}-{hashlib.sha256(run_uid.encode()).hexdigest()[:8]}-{role}"


def owner_labels(run: str, run_uid: str) -> dict[str, str]:
    """On everything that a run makes."""
    return {MANAGED_BY: MANAGER, RUN: run[:63].rstrip("-._"), RUN_UID: run_uid}


def judge(found: JsonObject) -> Ours | Kept:
    """Whether a namespace is one of ours, by its own signs."""
    labels, annotations = texts(found, "metadata", "labels"), texts(found, "metadata", "annotations")
    name, uid, run_uid = text(found, "metadata", "name"), text(found, "metadata", "uid"), labels.get(RUN_UID, "")
    if labels.get(MANAGED_BY) != MANAGER or not run_uid:
        return Kept(f"namespace {name!r} does not carry our labels")
    role, prefix = labels.get(ROLE, ""), annotations.get(PREFIX, "")
    if role not in ROLES or not prefix or name != namespace_name(prefix, run_uid, role):
        return Kept(f"namespace {name!r} carries our labels and has not the name that belongs to them")
    if not uid:
        return Kept(f"namespace {name!r} has no uid")
    return Ours(name, uid, run_uid)


def may_delete(found: JsonObject, owned: OwnedNamespace, run_uid: str) -> Ours | Kept:
    """Whether a run may delete a namespace that its status says it made."""
    judged = judge(found)
    if isinstance(judged, Kept):
        return judged
    if judged.run_uid != run_uid:
        return Kept(f"namespace {owned.name!r} belongs to another run")
    if (judged.name, judged.uid) != (owned.name, owned.uid):
        return Kept(f"namespace {owned.name!r} was deleted and made again by somebody else since")
    return judged


def is_abandoned(found: JsonObject, living: frozenset[str], now: datetime) -> bool:
    """Whether nobody will clean up a namespace of ours: its run is gone or over, or it was not renewed in time."""
    judged = judge(found)
    if isinstance(judged, Kept):
        return False
    return judged.run_uid not in living or expired(found, now)


def expired(found: JsonObject, now: datetime) -> bool:
    """Whether its time is over. A time that nobody can read is no time."""
    try:
        until = datetime.fromisoformat(texts(found, "metadata", "annotations").get(EXPIRES, ""))
    except ValueError:
        return False
    return until.tzinfo is not None and until < now


def expiry(now: datetime, ttl_seconds: int) -> str:
    """As the annotation has it."""
    return (now + timedelta(seconds=ttl_seconds)).isoformat(timespec="seconds")
