"""The result tree of a Sonobuoy plugin (`result-format: manual`): run, groups, features, each with its status."""

import json

from steward.conformance.reports.document import FeatureReport, RunReport
from steward.conformance.results import Verdict
from steward.jsonvalue import JsonObject

PLUGIN = "linkerd-conformance"
RESULTS = "sonobuoy_results.yaml"
"""What Sonobuoy reads of a plugin whose `result-format` is `manual`."""
_STATUS = {
    Verdict.PASSED: "passed",
    Verdict.FLAKY: "passed",
    Verdict.FAILED: "failed",
    Verdict.INCONCLUSIVE: "unknown",
    Verdict.SKIPPED: "skipped",
    Verdict.UNSUPPORTED: "skipped",
    Verdict.NOT_APPLICABLE: "skipped",
}
_ORDER = ("failed", "unknown", "passed", "skipped")


def sonobuoy(report: RunReport) -> str:
    """As YAML, which JSON is."""
    groups: list[JsonObject] = [_group(name, features) for name, features in report.groups().items()]
    tree: JsonObject = {
        "name": PLUGIN,
        "status": _worst([str(group["status"]) for group in groups]),
        "meta": {
            "type": "summary",
            "run": report.run,
            "linkerd": report.subject.linkerd_version,
            "kubernetes": report.subject.kubernetes_version,
        },
        "items": [*groups],
    }
    return json.dumps(tree, indent=2) + "\n"


def unfinished(reason: str) -> str:
    """The tree of a plugin that could not find out anything."""
    tree: JsonObject = {"name": PLUGIN, "status": "failed", "details": {"error": reason}}
    return json.dumps(tree, indent=2) + "\n"


def _group(name: str, features: tuple[FeatureReport, ...]) -> JsonObject:
    items = [_feature(feature) for feature in features]
    return {"name": name, "status": _worst([str(each["status"]) for each in items]), "items": [*items]}


def _feature(feature: FeatureReport) -> JsonObject:
    result = feature.worst
    details: JsonObject = {"verdict": result.verdict.value, "reason": result.reason, "message": result.message}
    if result.causes:
        cause = result.causes[0]
        details |= {"cause": cause.code, "observed": cause.observed, "remedy": cause.remedy}
    return {"name": feature.feature, "status": _STATUS[result.verdict], "details": details}


def _worst(statuses: list[str]) -> str:
    return next((status for status in _ORDER if status in statuses), "unknown")
