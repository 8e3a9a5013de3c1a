"""JUnit XML, as build servers read it: a suite for each group, a case for each feature."""

from xml.etree import ElementTree

from steward.conformance.reports.document import FeatureReport, RunReport
from steward.conformance.results import FeatureResult, Verdict

_NOT_RUN = (Verdict.SKIPPED, Verdict.UNSUPPORTED, Verdict.NOT_APPLICABLE)


def junit(report: RunReport) -> str:
    """A `testsuites` document. An inconclusive feature is an error, never a failure."""
    root = ElementTree.Element("testsuites", name=f"conformance {report.run}")
    for group, features in report.groups().items():
        worst = [feature.worst for feature in features]
        suite = ElementTree.SubElement(
            root,
            "testsuite",
            name=group,
            tests=str(len(features)),
            failures=str(sum(each.verdict is Verdict.FAILED for each in worst)),
            errors=str(sum(each.verdict is Verdict.INCONCLUSIVE for each in worst)),
            skipped=str(sum(each.verdict in _NOT_RUN for each in worst)),
            time=f"{sum(each.timing.total_seconds for each in worst):.3f}",
        )
        for feature in features:
            _case(suite, group, feature)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ElementTree.Element, group: str, feature: FeatureReport) -> None:
    result = feature.worst
    case = ElementTree.SubElement(
        suite,
        "testcase",
        classname=f"conformance.{group}",
        name=_clean(feature.feature),
        time=f"{result.timing.total_seconds:.3f}",
    )
    if result.verdict is Verdict.FAILED:
        _told(case, "failure", result)
    elif result.verdict is Verdict.INCONCLUSIVE:
        _told(case, "error", result)
    elif result.verdict in _NOT_RUN:
        ElementTree.SubElement(case, "skipped", message=_clean(result.message))
    elif result.verdict is Verdict.FLAKY:
        ElementTree.SubElement(case, "system-out").text = _clean(f"flaky: {result.message}")


def _told(case: ElementTree.Element, tag: str, result: FeatureResult) -> None:
    element = ElementTree.SubElement(case, tag, message=_clean(result.message), type=result.reason)
    lines = [
        f"{each.name}: expected {each.expected}, observed {each.observed}" for each in result.assertions if not each.ok
    ]
    lines += [
        f"{cause.code} ({cause.rung}): {cause.message} Seen: {cause.observed}. Remedy: {cause.remedy}"
        for cause in result.causes
    ]
    element.text = _clean("\n".join(lines))


def _clean(text: str) -> str:
    """Without the control characters that XML 1.0 cannot hold."""
    return "".join(char for char in text if char in "\t\n" or (ord(char) >= 32 and ord(char) not in (0xFFFE, 0xFFFF)))
