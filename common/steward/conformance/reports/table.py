"""One line for each result, for a spreadsheet."""

import csv as comma_separated
import io

from steward.conformance.reports.document import RunReport

HEAD = ("feature", "group", "tier", "cycle", "at", "verdict", "reason", "cause", "rung", "seconds", "message")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def csv(report: RunReport) -> str:
    """All results of all features."""
    out = io.StringIO()
    writer = comma_separated.writer(out, lineterminator="\n")
    writer.writerow(HEAD)
    for feature in report.features:
        for result in feature.results:
            writer.writerow(
                (
                    feature.feature,
                    feature.group,
                    feature.tier.value,
                    result.cycle,
                    result.at.isoformat(),
                    result.verdict.value,
                    result.reason,
                    result.causes[0].code if result.causes else "",
                    result.rung.value if result.rung else "",
                    f"{result.timing.total_seconds:.3f}",
                    _inert(result.message),
                )
            )
    return out.getvalue()


def _inert(text: str) -> str:
    """A text that a spreadsheet takes for a formula is a way in; a leading quote makes it a text."""
    return f"'{text}" if text.startswith(_FORMULA) else text
