"""The pictures of the HTML report, as inline SVG: shares of verdicts, the history of a feature, the four rungs."""

from html import escape

from steward.conformance.results import FeatureResult, Verdict
from steward.events.conformance import Rung, VerdictCounts

_HISTORY = 60
_BAR, _GAP, _TALL = 5, 1, 18
_HEIGHTS = {
    Verdict.PASSED: 6,
    Verdict.FLAKY: 12,
    Verdict.FAILED: 18,
    Verdict.INCONCLUSIVE: 10,
    Verdict.SKIPPED: 3,
    Verdict.UNSUPPORTED: 2,
    Verdict.NOT_APPLICABLE: 2,
}
RUNGS = (
    (Rung.OBJECT, "object"),
    (Rung.CONTROL_PLANE, "control plane"),
    (Rung.PROXY, "proxy"),
    (Rung.TRAFFIC, "traffic"),
)


def shares(counts: VerdictCounts, width: int = 640) -> str:
    """One bar with a stretch for each verdict that occurs."""
    parts = [
        ("failed", counts.failed),
        ("flaky", counts.flaky),
        ("inconclusive", counts.inconclusive),
        ("passed", counts.passed),
        ("skipped", counts.skipped),
        ("notapplicable", counts.unsupported + counts.not_applicable),
    ]
    total = sum(number for _, number in parts)
    if total == 0:
        return ""
    said = ", ".join(f"{number} {name}" for name, number in parts if number)
    drawn, x = [], 0.0
    for name, number in parts:
        if not number:
            continue
        stretch = width * number / total
        drawn.append(f'<rect class="v-{name}" x="{x:.1f}" y="0" width="{max(stretch - 2, 1):.1f}" height="14" rx="3"/>')
        x += stretch
    return (
        f'<svg class="shares" viewBox="0 0 {width} 14" role="img" aria-label="{escape(said)}" '
        f'preserveAspectRatio="none">{"".join(drawn)}</svg>'
    )


def history(results: tuple[FeatureResult, ...]) -> str:
    """A sparkline of the last results: the taller, the worse; height tells what colour tells."""
    shown = results[-_HISTORY:]
    width = len(shown) * (_BAR + _GAP)
    bars = "".join(
        f'<rect class="v-{result.verdict.value.lower()}" x="{position * (_BAR + _GAP)}" '
        f'y="{_TALL - _HEIGHTS[result.verdict]}" width="{_BAR}" height="{_HEIGHTS[result.verdict]}">'
        f"<title>{escape(f'{result.at:%Y-%m-%d %H:%M:%S} {result.verdict.value}: {result.message}')}</title></rect>"
        for position, result in enumerate(shown)
    )
    return (
        f'<svg class="history" width="{width}" height="{_TALL}" viewBox="0 0 {width} {_TALL}" role="img" '
        f'aria-label="last {len(shown)} results">{bars}</svg>'
    )


def ladder(broken: Rung | None) -> str:
    """The four rungs of diagnosis, with a break before the one that disagrees with those above it."""
    if broken is None:
        return ""
    drawn: list[str] = []
    agreeing = True
    for position, (rung, name) in enumerate(RUNGS):
        x = position * 150
        if rung is broken:
            agreeing = False
        look = "ok" if agreeing else ("broken" if rung is broken else "below")
        if position:
            join = "M" + f"{x - 26} 14 H{x - 4}"
            drawn.append(f'<path class="join {look}" d="{join}"/>')
        drawn.append(f'<g class="rung {look}"><rect x="{x}" y="2" width="120" height="24" rx="12"/>')
        drawn.append(f'<text x="{x + 60}" y="18" text-anchor="middle">{name}</text></g>')
    said = f"objects, control plane, proxy and traffic agree until: {broken.value}"
    return f'<svg class="ladder" viewBox="0 0 574 28" role="img" aria-label="{escape(said)}">{"".join(drawn)}</svg>'
