"""What the API server refuses by our schema, and what it says: one entry for each mistake that people make."""

from copy import deepcopy
from dataclasses import dataclass

from steward.jsonvalue import Json, JsonObject
from steward.kube.resources import (
    CONFORMANCE_RUNS,
    CONFORMANCE_SUITES,
    RELEASE_CATALOGS,
    UPGRADE_PLANS,
    UPGRADE_POLICIES,
    UPGRADE_RUNS,
    Resource,
)

Path = tuple[str | int, ...]

BASE: dict[Resource, JsonObject] = {
    RELEASE_CATALOGS: {"spec": {"releases": [{"version": "edge-26.8.3"}]}},
    UPGRADE_PLANS: {
        "spec": {
            "from": {"range": ">=25.10.7 <26.6.3"},
            "to": {"range": ">=26.6.3"},
            "gateTemplates": [{"name": "check", "type": "LinkerdCheck"}],
            "steps": [
                {"name": "preflight", "type": "Preflight", "gates": ["check"]},
                {"name": "data-plane", "type": "RestartWorkloads", "dependsOn": ["preflight"]},
            ],
        }
    },
    UPGRADE_POLICIES: {"spec": {"dataPlane": {"defaultWave": {}, "selection": {}}, "targetSelector": {}}},
    UPGRADE_RUNS: {"spec": {"target": "edge-26.8.3", "planRef": {"name": "some"}}},
    CONFORMANCE_SUITES: {"spec": {"where": {}, "footprint": {}, "confirmation": {}}},
    CONFORMANCE_RUNS: {"spec": {"suiteRef": {"name": "default"}}},
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """One member set to something wrong (left out where it is `...`), and what must be said of it."""

    where: str
    value: Json
    said: tuple[str, ...]

    @property
    def path(self) -> Path:
        return tuple(int(part) if part.isdigit() else part for part in self.where.split("."))

    def make(self, resource: Resource, name: str) -> JsonObject:
        """An object that is right but for this."""
        return put({"metadata": {"name": name}, **deepcopy(BASE[resource])}, self.path, self.value)


def put(body: JsonObject, path: Path, value: Json) -> JsonObject:
    """`body` with one member replaced or added."""
    *way, last = path
    here: Json = body
    for step in way:
        if isinstance(here, dict):
            here = here.setdefault(str(step), {})
        elif isinstance(here, list):
            here = here[int(step)]
    if isinstance(here, dict):
        here[str(last)] = value
    elif isinstance(here, list):
        here[int(last)] = value
    return body


def _mistake(where: str, value: Json, *said: str) -> Mistake:
    return Mistake(f"spec.{where}", value, said)


_RANGE = "a range is written like `>=25.10.7 <26.6.3`, without the channel"
_RELEASE = "a release is written with its channel, like `edge-26.8.3`"
_NAME = "a name begins with a small letter and goes on with those, digits and dashes"
_GATE: JsonObject = {"name": "verify", "type": "Gate"}
_STEP: JsonObject = {"name": "preflight", "type": "Preflight"}

PLANS = (
    _mistake("from.range", "edge-25.10.7", "spec.from.range", _RANGE),
    _mistake("from.range", "=>25.10.7", "spec.from.range", _RANGE),
    _mistake("to.range", "latest", "spec.to.range", _RANGE),
    _mistake("to.range", "", "spec.to.range", _RANGE),
    _mistake("to.range", "1" * 129, "spec.to.range", "may not be more than 128"),
    _mistake("to", {}, "spec.to.range: Required value"),
    _mistake("to.logicalVersion", "edge", "spec.to.logicalVersion", "a logical version is written like `2.19`"),
    _mistake("from.logicalVersions", ["2"], "spec.from.logicalVersions[0]", "a logical version is written like `2.19`"),
    _mistake("priority", 1001, "spec.priority", "should be less than or equal to 1000"),
    _mistake("priority", "high", "spec.priority", "must be of type integer"),
    _mistake("installMethods", ["Kustomize"], 'Unsupported value: "Kustomize"', '"CLI"', '"GitOps"', '"Helm"'),
    _mistake("installMethods", [], "spec.installMethods", "should have at least 1 items"),
    _mistake("notices", ["x" * 4097], "spec.notices[0]", "Too long"),
    _mistake("notices", ["x"] * 65, "spec.notices", "Too many: 65: must have at most 64 items"),
    _mistake("progressDeadlineSeconds", -1, "spec.progressDeadlineSeconds", "greater than or equal to 1"),
    _mistake("progressDeadlineSeconds", "8h", "spec.progressDeadlineSeconds", "must be of type integer"),
    _mistake("progressDeadlineSeconds", 31_536_001, "less than or equal to 31536000"),
    _mistake("defaults.timeoutSeconds", 0, "spec.defaults.timeoutSeconds", "greater than or equal to 1"),
    _mistake("defaults.retry", {"limit": 101}, "spec.defaults.retry.limit", "less than or equal to 100"),
    _mistake("defaults.retry", {"backoffSeconds": -30}, "spec.defaults.retry.backoffSeconds", "greater than or equal"),
    _mistake("steps", [], "spec.steps", "should have at least 1 items"),
    _mistake("steps", [{**_STEP, "name": f"s{n}"} for n in range(33)], "Too many: 33: must have at most 32 items"),
    _mistake("steps", [_STEP, _STEP], "spec.steps[1]", 'Duplicate value: {"name":"preflight"}'),
    _mistake("steps.0.name", "Pre flight", "spec.steps[0].name", _NAME),
    _mistake("steps.0.name", "p" * 64, "spec.steps[0].name", "may not be more than 63"),
    _mistake("steps.0.type", "Reboot", 'spec.steps[0].type: Unsupported value: "Reboot"', '"ApplyCRDs"', '"Gate"'),
    _mistake("steps.1.type", "RunJob", 'spec.steps[1].type: Unsupported value: "RunJob"'),
    _mistake("steps.1.dependsOn", ["crds"], "dependsOn names a step that this plan does not have"),
    _mistake("steps.1.dependsOn", ["data-plane"], "a step cannot depend on itself"),
    _mistake("steps.1.dependsOn", ["preflight"] * 2, "spec.steps[1].dependsOn", "dependsOn names a step twice"),
    _mistake("steps.0.gates", ["checks"], "a step names a gate that gateTemplates does not have"),
    _mistake("steps.0.gates", ["check", "check"], "spec.steps[0].gates", "a step names a gate twice: once is enough"),
    _mistake("steps.0.gatePhase", "During", 'spec.steps[0].gatePhase: Unsupported value: "During"', '"Before"'),
    _mistake("steps.0.timeoutSeconds", -5, "spec.steps[0].timeoutSeconds", "greater than or equal to 1"),
    _mistake("steps.0.timeoutSeconds", "5m", "spec.steps[0].timeoutSeconds", "must be of type integer"),
    _mistake("steps.0.prune", {"excludeKinds": ["Secret"]}, "prune belongs to steps of type Prune"),
    _mistake("steps.1", _GATE, "a step of type Gate needs at least one gate"),
    _mistake("steps.1", {**_GATE, "gates": []}, "a step of type Gate needs at least one gate"),
    _mistake("gateTemplates", [], "a step names a gate that gateTemplates does not have"),
    _mistake("gateTemplates.0.type", "Metric", 'spec.gateTemplates[0].type: Unsupported value: "Metric"'),
    _mistake("gateTemplates.0.versionSkew", {}, "versionSkew belongs to gates of type VersionSkew"),
    _mistake("gateTemplates.0.certificates", {}, "certificates belongs to gates of type Certificates"),
    _mistake("gateTemplates.0.injectorDryRun", {}, "injectorDryRun belongs to gates of type InjectorDryRun"),
    _mistake(
        "gateTemplates.0",
        {"name": "check", "type": "Certificates", "linkerdCheck": {}},
        "linkerdCheck belongs to gates of type LinkerdCheck",
    ),
    _mistake("gateTemplates.0.linkerdCheck", {"scopes": ["All"]}, 'Unsupported value: "All"', '"ControlPlane"'),
    _mistake("gateTemplates.0.linkerdCheck", {"scopes": []}, "should have at least 1 items"),
    _mistake(
        "gateTemplates.0",
        {"name": "check", "type": "InjectorDryRun", "injectorDryRun": {"namespaces": 0}},
        "spec.gateTemplates[0].injectorDryRun.namespaces",
        "greater than or equal to 1",
    ),
    _mistake(
        "gateTemplates.0",
        {"name": "check", "type": "Certificates", "certificates": {"minRemainingSeconds": -1}},
        "spec.gateTemplates[0].certificates.minRemainingSeconds",
        "greater than or equal to 0",
    ),
    _mistake(
        "gateTemplates.0",
        {"name": "check", "type": "VersionSkew", "versionSkew": {"maxLogicalVersions": 11}},
        "spec.gateTemplates[0].versionSkew.maxLogicalVersions",
        "less than or equal to 10",
    ),
    _mistake("stpes", [], 'unknown field "spec.stpes"'),
)

CATALOGS = (
    _mistake("releases.0.version", "26.8.3", "spec.releases[0].version", _RELEASE),
    _mistake("releases.0.version", "v2.18", "spec.releases[0].version", _RELEASE),
    _mistake("releases.0.version", "edge-" + "1" * 60, "spec.releases[0].version", "may not be more than 64"),
    _mistake("releases", [{}], "spec.releases[0].version: Required value"),
    _mistake("releases", [{"version": "edge-26.8.3"}] * 2, 'Duplicate value: {"version":"edge-26.8.3"}'),
    _mistake("releases", [{"version": f"edge-26.8.{n}"} for n in range(1001)], "must have at most 1000 items"),
    _mistake("releases.0.supersededBy", "edge-26.8.3", "a release cannot be superseded by itself"),
    _mistake("releases.0.supersededBy", "newest", "spec.releases[0].supersededBy", _RELEASE),
    _mistake("releases.0.logicalVersion", "2.19.1", "a logical version is written like `2.19`"),
    _mistake("releases.0.releasedAt", "yesterday", "spec.releases[0].releasedAt", "must be of type date-time"),
    _mistake("releases.0.recommendation", "Maybe", 'Unsupported value: "Maybe"', '"NotRecommended"', '"Unknown"'),
    _mistake("releases.0.kubernetes", {"min": ">=1.31"}, "kubernetes.min", "a bound is a version like `1.31`"),
    _mistake("releases.0.gatewayAPI", {"max": "one"}, "gatewayAPI.max", "a bound is a version like `1.31`"),
    _mistake("releases.0.digests", {"cli": "md5:0"}, "spec.releases[0].digests.cli", "sha256:[0-9a-f]{64}"),
    _mistake("releases.0.digests", {str(n): "sha256:" + "0" * 64 for n in range(65)}, "must have at most 64"),
    _mistake("releases.0.reason", "x" * 4097, "spec.releases[0].reason", "may not be more than 4096"),
)

POLICIES = (
    _mistake("channel", "edge-26", "spec.channel", "a channel is written in letters, like `edge`"),
    _mistake("mode", "Auto", 'spec.mode: Unsupported value: "Auto": supported values: "Manual", "Automatic"'),
    _mistake("paused", "yes", "spec.paused", "must be of type boolean"),
    _mistake("failurePolicy", "Retry", 'Unsupported value: "Retry": supported values: "Pause", "Abort"'),
    _mistake("runHistoryLimit", 0, "spec.runHistoryLimit", "greater than or equal to 1"),
    _mistake("targetSelector.range", "newest", "spec.targetSelector.range", _RANGE),
    _mistake("targetSelector.minimumReleaseAgeSeconds", -1, "minimumReleaseAgeSeconds", "greater than or equal to 0"),
    _mistake("targetSelector.minimumReleaseAgeSeconds", "7d", "minimumReleaseAgeSeconds", "must be of type integer"),
    _mistake("dataPlane.selection.mode", "All", 'Unsupported value: "All": supported values: "OptIn", "OptOut"'),
    _mistake("dataPlane.selection.kinds", ["Job"], 'Unsupported value: "Job"', '"StatefulSet"'),
    _mistake("dataPlane.selection.kinds", [], "spec.dataPlane.selection.kinds", "should have at least 1 items"),
    _mistake("dataPlane.defaultWave.maxParallelWorkloads", 0, "maxParallelWorkloads", "greater than or equal to 1"),
    _mistake(
        "dataPlane.defaultWave",
        {"maxParallelPerNamespace": 4, "maxParallelWorkloads": 3},
        "maxParallelPerNamespace cannot exceed maxParallelWorkloads",
    ),
    _mistake(
        "dataPlane.defaultWave.maxParallelPerNamespace", 6, "maxParallelPerNamespace cannot exceed maxParallelWorkloads"
    ),
    _mistake("dataPlane.defaultWave.failureThreshold", -1, "failureThreshold", "greater than or equal to 0"),
    _mistake("dataPlane.defaultWave.workloadDeadlineSeconds", 0, "workloadDeadlineSeconds", "than or equal to 1"),
)

RUNS = (
    _mistake("target", "26.8.3", "spec.target", _RELEASE),
    _mistake("target", "latest", "spec.target", _RELEASE),
    _mistake("planRef", {}, "spec.planRef.name: Required value"),
    _mistake("planRef.name", "", "spec.planRef.name", "should be at least 1 chars long"),
    _mistake("purpose", "Downgrade", 'Unsupported value: "Downgrade": supported values: "Upgrade", "RestartOnly"'),
    _mistake("dryRun", "Server", 'Unsupported value: "Server": supported values: "None", "Preview"'),
    _mistake("state", "Stop", 'Unsupported value: "Stop": supported values: "Run", "Pause", "Abort"'),
    _mistake("restartEpoch", -1, "spec.restartEpoch", "greater than or equal to 0"),
    Mistake("spec", {}, ("spec.target: Required value",)),
)

CHANGES = (
    _mistake("target", "edge-26.9.1", "target is fixed: make another run for another release"),
    _mistake("purpose", "RestartOnly", "purpose is fixed: make another run"),
    _mistake("dryRun", "Preview", "dryRun is fixed: make another run"),
    _mistake("planRef", {"name": "other"}, "planRef is fixed: make another run"),
    _mistake("planRef", None, "planRef is fixed: make another run"),
    _mistake("policyRef", {"name": "other"}, "policyRef is fixed: make another run"),
    _mistake("restartEpoch", 2, "restartEpoch can only be raised"),
    _mistake("state", "Run", "an aborted run cannot go on: make another run"),
    _mistake("state", "Pause", "an aborted run cannot go on: make another run"),
    _mistake("state", None, "an aborted run cannot go on: make another run"),
)
"""Of a run that was aborted, with restartEpoch 3."""

_STAMP = "2026-11-21T12:00:00Z"
STATUSES = (
    Mistake("status.phase", "Done", ('status.phase: Unsupported value: "Done"', '"Succeeded"')),
    Mistake("status.startedAt", "now", ("status.startedAt", "must be of type date-time")),
    Mistake("status.workloads", {"failed": -1}, ("status.workloads.failed", "greater than or equal to 0")),
    Mistake(
        "status.transitions",
        [{"id": str(n), "event": "upgrade-started", "time": _STAMP, "reason": "Started"} for n in range(501)],
        ("Too many: 501: must have at most 500 items",),
    ),
    Mistake("status.steps", [{"name": "crds"}], ("status.steps[0].type: Required value",)),
    Mistake(
        "status.conditions",
        [{"type": "Planned", "status": "Maybe", "reason": "because", "lastTransitionTime": _STAMP}],
        ('status.conditions[0].status: Unsupported value: "Maybe"', "status.conditions[0].reason"),
    ),
)

_FEATURE = "a feature is written like `mtls.identity`, a group like `mtls`"
SUITES = (
    _mistake("include", ["MTLS"], "spec.include[0]", _FEATURE),
    _mistake("exclude", ["mtls identity"], "spec.exclude[0]", _FEATURE),
    _mistake("tiers", ["Foundation", "Disruptive"], "the tier Disruptive needs the explicit word"),
    _mistake("tiers", ["Everything"], 'Unsupported value: "Everything"', '"Foundation"'),
    _mistake("allow", [], "spec.allow", "should have at least 1 items"),
    _mistake("allow", ["Anything"], 'Unsupported value: "Anything"', '"Disruptive"'),
    _mistake("schedule", [{"tier": "Depth", "intervalSeconds": 1}], "intervalSeconds", "greater than or equal to 10"),
    _mistake("schedule", [{"tier": "Depth"}], "spec.schedule[0].intervalSeconds: Required value"),
    _mistake("jitterPercent", 51, "spec.jitterPercent", "less than or equal to 50"),
    _mistake("confirmation.consecutive", 0, "spec.confirmation.consecutive", "greater than or equal to 1"),
    _mistake("objectives", [{"feature": "mtls", "targetPercent": 100}], "spec.objectives[0].targetPercent"),
    _mistake("quarantine", [{"feature": "mtls"}], "spec.quarantine[0].owner: Required value"),
    _mistake("footprint.maxPods", 3, "spec.footprint.maxPods", "greater than or equal to 9"),
    _mistake("where.prefix", "Probes", "spec.where.prefix"),
    _mistake("where.ttlSeconds", 0, "spec.where.ttlSeconds", "greater than or equal to 1"),
)
EXERCISES = (
    _mistake("only", ["mtls..identity"], "spec.only[0]", _FEATURE),
    _mistake("pace", "Twice", 'Unsupported value: "Twice": supported values: "Once", "Continuous"'),
    _mistake("durationSeconds", 60, "durationSeconds belongs to a run whose pace is Continuous"),
    _mistake("state", "Abort", 'Unsupported value: "Abort": supported values: "Run", "Pause", "Stop"'),
    _mistake("suiteRef", {}, "spec.suiteRef.name: Required value"),
    _mistake("trigger", "Whim", 'Unsupported value: "Whim"', '"UpgradeStep"'),
)
EXERCISE_CHANGES = (
    _mistake("suiteRef", {"name": "other"}, "suiteRef is fixed: make another run"),
    _mistake("only", ["authz"], "only is fixed: make another run"),
    _mistake("only", None, "only is fixed: make another run"),
    _mistake("pace", "Continuous", "pace is fixed: make another run"),
    _mistake("trigger", "Incident", "trigger is fixed: make another run"),
    _mistake("state", "Run", "a stopped run cannot go on: make another run"),
)
"""Of a run of one group that was stopped."""
