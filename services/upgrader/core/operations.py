"""Names that follow from what they name, so that saying them again, after any crash, says the same."""

import hashlib

import orjson

from steward.jsonvalue import JsonObject
from steward.linkerd.version import Version
from steward.resources.base import Model
from steward.resources.upgrade_run import Purpose, UpgradeRun

_SHORT = 8
_OPERATION = 16


def digest(value: JsonObject) -> str:
    """`sha256:<hex>` of a JSON object, whatever the order of its members."""
    canonical = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"


def digest_of(model: Model) -> str:
    """The digest of a resource's part as the API server stores it."""
    return digest(model.to_json())


def short(digest: str) -> str:
    """The first eight hexadecimal digits."""
    return digest.removeprefix("sha256:")[:_SHORT]


def operation_id(run_uid: str, step: str, attempt: int) -> str:
    """The identity of one attempt at one step; stamped on everything that the attempt touches."""
    return hashlib.sha256(f"{run_uid}/{step}/{attempt}".encode()).hexdigest()[:_OPERATION]


def run_name(source: Version, target: Version, plan: str, plan_hash: str, policy: str) -> str:
    """The name of the run that upgrader makes by itself: the same release, plan and policy never make a second one."""
    text = "/".join((str(source), str(target), plan, plan_hash, policy))
    return f"{target}-{hashlib.sha256(text.encode()).hexdigest()[:_SHORT]}"


def exercise_name(run: UpgradeRun, step: str, gate: str, moment: str, last_answer: str) -> str:
    """The name of the ConformanceRun that answers a gate: asked again after a crash it is the same one, and another
    one only after an answer was written down, at `last_answer`."""
    attempt = next((each.attempt for each in (run.status.steps if run.status else ()) if each.name == step), 0)
    text = "/".join((run.metadata.uid, step, gate, moment, str(attempt), last_answer))
    return f"{run.metadata.name[:180]}-{gate}-{hashlib.sha256(text.encode()).hexdigest()[:_SHORT]}"


def marker(run: UpgradeRun) -> str:
    """What the pod templates of the run's workloads carry: `<version>/<plan hash>/<epoch>`, never a time.

    A repair restarts what has the version already, so its epoch names the run, else the marker of the upgrade before
    it would be the same and nothing would happen.
    """
    snapshot = run.status.snapshot if run.status else None
    plan = short(snapshot.plan_hash) if snapshot else ""
    epoch = str(run.spec.restart_epoch)
    if run.spec.purpose is Purpose.RESTART_ONLY:
        epoch = f"{hashlib.sha256(run.metadata.uid.encode()).hexdigest()[:_SHORT]}-{epoch}"
    return f"{run.spec.target}/{plan}/{epoch}"


def operations_of(run: UpgradeRun) -> tuple[str, ...]:
    """Every operation that the run has begun so far."""
    steps = run.status.steps if run.status else ()
    return tuple(
        operation_id(run.metadata.uid, step.name, attempt) for step in steps for attempt in range(1, step.attempt + 1)
    )
