"""Markdown, for a ticket or a pull request: the verdict, what fails and why, then everything in a table."""

from steward.conformance.reports.document import FeatureReport, RunReport, confidence
from steward.conformance.results import Verdict
from steward.events.conformance import FoundCause

_SIGNS = {
    Verdict.PASSED: "✅",
    Verdict.FLAKY: "🟡",
    Verdict.FAILED: "❌",
    Verdict.INCONCLUSIVE: "❔",
    Verdict.SKIPPED: "⏭",
    Verdict.UNSUPPORTED: "⚪",
    Verdict.NOT_APPLICABLE: "⚪",
}


def markdown(report: RunReport) -> str:
    """The report for people who read text."""
    outcome = report.outcome.value if report.outcome else "still running"
    lines = [f"# Conformance {_inert(report.run)}: {outcome}", "", _inert(report.message), "", _subject(report), ""]
    if report.findings:
        lines += ["## What fails together", ""]
        lines += [f"- {_inert(each.message)} ({', '.join(each.features)})" for each in report.findings]
        lines.append("")
    failed = [feature for feature in report.features if feature.worst.verdict is Verdict.FAILED]
    if failed:
        lines += ["## What does not work, and why", ""]
        for feature in failed:
            lines += _failed(feature)
    lines += ["## Everything", "", "| feature | verdict | why | proves |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{feature.feature}` | {_SIGNS[feature.worst.verdict]} {feature.worst.verdict.value} | "
        f"{_cell(feature.worst.message)} | {confidence(feature)} |"
        for feature in report.features
    ]
    return "\n".join(lines) + "\n"


def _subject(report: RunReport) -> str:
    subject, counts = report.subject, report.summary
    return (
        f"Linkerd {subject.linkerd_version or 'unknown'} on Kubernetes {subject.kubernetes_version or 'unknown'}: "
        f"{counts.passed} passed, {counts.failed} failed, {counts.flaky} flaky, {counts.inconclusive} inconclusive, "
        f"{counts.skipped} skipped, {counts.unsupported} unsupported, {counts.not_applicable} not applicable."
    )


def _failed(feature: FeatureReport) -> list[str]:
    result = feature.worst
    lines = [f"### `{feature.feature}`", "", f"{_inert(feature.claim)} {_inert(result.message)}", ""]
    lines += [
        f"- {_inert(each.name)}: expected {_inert(each.expected)}, observed {_inert(each.observed)}"
        for each in result.assertions
        if not each.ok
    ]
    for cause in result.causes:
        lines += ["", *_cause(cause)]
    return [*lines, ""]


def _cause(cause: FoundCause) -> list[str]:
    lines = [
        f"**{cause.code}** ({cause.rung.value}): {_inert(cause.message)}",
        f"- observed: {_inert(cause.observed)}",
        f"- expected: {_inert(cause.expected)}",
    ]
    if cause.disproof:
        lines.append(f"- it is not this, if {_inert(cause.disproof)}")
    if cause.remedy:
        lines.append(f"- remedy: {_inert(cause.remedy)}")
    if cause.command:
        lines += ["", "```sh", cause.command.replace("```", "` ` `"), "```"]
    return lines


def _inert(text: str) -> str:
    """Text from the cluster may not become markup."""
    return text.replace("\\", "\\\\").replace("<", "&lt;").replace("`", "\\`").replace("[", "\\[")


def _cell(text: str) -> str:
    return _inert(text).replace("|", "\\|").replace("\n", " ")
