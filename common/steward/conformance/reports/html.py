"""One self-contained HTML page: what was probed, what fails together, what fails and why, and everything else."""

from html import escape

from steward.conformance.reports.document import SEVERITY, FeatureReport, RunReport, confidence
from steward.conformance.reports.drawing import history, ladder, shares
from steward.conformance.reports.style import STYLE
from steward.conformance.results import AssertionResult, FeatureResult, Verdict
from steward.events.conformance import FoundCause

_GLYPHS = {
    Verdict.PASSED: "●",
    Verdict.FLAKY: "◐",
    Verdict.FAILED: "✕",
    Verdict.INCONCLUSIVE: "?",
    Verdict.SKIPPED: "»",
    Verdict.UNSUPPORTED: "·",
    Verdict.NOT_APPLICABLE: "·",
}
_ANYWHERE = "anywhere"


def html(report: RunReport) -> str:
    """The page. Everything is inline, so it may be mailed or kept; no script runs in it."""
    failed = [feature for feature in report.features if feature.worst.verdict is Verdict.FAILED]
    unsure = [feature for feature in report.features if feature.worst.verdict is Verdict.INCONCLUSIVE]
    body = [_head(report), _findings(report)]
    if failed:
        body.append(
            f"<section><h2>What does not work, and why</h2>{''.join(_failure(each) for each in failed)}</section>"
        )
    if unsure:
        body.append(f"<section><h2>What could not be told</h2>{_unsure(unsure)}</section>")
    body += [_matrix(report), _everything(report)]
    title = escape(f"Conformance {report.run}")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>\n"
    )


def _head(report: RunReport) -> str:
    outcome = report.outcome.value if report.outcome else "Running"
    subject = report.subject
    facts = [
        ("run", report.run),
        ("suite", report.suite),
        ("cluster", subject.cluster),
        ("Linkerd", subject.linkerd_version),
        ("proxies", ", ".join(subject.proxy_versions)),
        ("Kubernetes", subject.kubernetes_version),
        ("nodes", f"{subject.nodes} in {subject.zones} zones" if subject.nodes else ""),
        ("began", f"{report.started_at:%Y-%m-%d %H:%M:%S %Z}" if report.started_at else ""),
        ("ended", f"{report.ended_at:%Y-%m-%d %H:%M:%S %Z}" if report.ended_at else ""),
        ("made for", report.trigger),
        ("exerciser", report.exerciser_version),
    ]
    listed = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts if value)
    counts = report.summary
    numbers = (
        ("passed", counts.passed),
        ("failed", counts.failed),
        ("flaky", counts.flaky),
        ("inconclusive", counts.inconclusive),
        ("skipped", counts.skipped),
        ("unsupported", counts.unsupported),
        ("not applicable", counts.not_applicable),
    )
    key = "".join(
        f'<li class="v-{name.replace(" ", "")}"><b>{number}</b> {name}</li>' for name, number in numbers if number
    )
    return (
        f'<header><p class="outcome o-{outcome.lower()}">{outcome}</p><h1>Conformance of the mesh</h1>'
        f'<p class="message">{escape(report.message)}</p>{shares(counts)}<ul class="key">{key}</ul>'
        f'<dl class="facts">{listed}</dl></header>'
    )


def _findings(report: RunReport) -> str:
    if not report.findings:
        return ""
    cards = "".join(
        f'<li><p>{escape(each.message)}</p><p class="small">{_links(each.features)}</p></li>'
        for each in report.findings
    )
    return f'<section><h2>What fails together</h2><ul class="findings">{cards}</ul></section>'


def _links(features: tuple[str, ...]) -> str:
    return ", ".join(f'<a href="#{_anchor(each)}">{escape(each)}</a>' for each in features)


def _anchor(feature: str) -> str:
    return f"f-{escape(feature, quote=True)}"


def _failure(feature: FeatureReport) -> str:
    result = feature.worst
    security = '<span class="tag">security</span>' if feature.security else ""
    where = _where(result)
    return (
        f'<article id="{_anchor(feature.feature)}"><h3><code>{escape(feature.feature)}</code>{security}</h3>'
        f'<p class="claim">{escape(feature.claim)}</p><p>{escape(result.message)}</p>'
        f"{ladder(result.rung)}{''.join(_cause(each) for each in result.causes)}"
        f'{_assertions(result.assertions)}<p class="small">{where}{_kept(result)}</p></article>'
    )


def _where(result: FeatureResult) -> str:
    actors = result.actors
    if actors.client_nodes:
        return escape(f"Seen {result.at:%Y-%m-%d %H:%M:%S %Z} on {', '.join(actors.client_nodes)}. ")
    client = " on ".join(each for each in (actors.client_pod, actors.client_node) if each)
    servers = ", ".join(actors.server_pods[:4])
    said = f"from {client}" if client else ""
    return escape(f"Seen {result.at:%Y-%m-%d %H:%M:%S %Z} {said}{f' to {servers}' if servers else ''}. ")


def _kept(result: FeatureResult) -> str:
    return f"Evidence: <code>{escape(result.evidence)}</code> in steward-evidence." if result.evidence else ""


def _cause(cause: FoundCause) -> str:
    rows = [
        ("observed", cause.observed),
        ("expected", cause.expected),
        ("it is not this, if", cause.disproof),
        ("remedy", cause.remedy),
    ]
    listed = "".join(f"<dt>{name}</dt><dd>{escape(value)}</dd>" for name, value in rows if value)
    command = f"<pre>{escape(cause.command)}</pre>" if cause.command else ""
    return (
        f'<div class="cause"><p><b>{escape(cause.code)}</b> {escape(cause.message)}</p><dl>{listed}</dl>{command}</div>'
    )


def _assertions(assertions: tuple[AssertionResult, ...]) -> str:
    if not assertions:
        return ""
    rows = "".join(
        f'<tr class="{"ok" if each.ok else "bad"}"><td>{"✓" if each.ok else "✕"}</td><td>{escape(each.name)}</td>'
        f"<td>{escape(each.expected)}</td><td>{escape(each.observed)}</td></tr>"
        for each in assertions
    )
    opened = "" if all(each.ok for each in assertions) else " open"
    return (
        f"<details{opened}><summary>{len(assertions)} assertions</summary><table><thead><tr><th></th><th>what</th>"
        f"<th>expected</th><th>observed</th></tr></thead><tbody>{rows}</tbody></table></details>"
    )


def _unsure(features: list[FeatureReport]) -> str:
    rows = "".join(
        f'<li id="{_anchor(each.feature)}"><code>{escape(each.feature)}</code> {escape(each.worst.message)}</li>'
        for each in features
    )
    return f"<p>Trouble of the probes, not a statement about the mesh.</p><ul>{rows}</ul>"


def _matrix(report: RunReport) -> str:
    nodes = sorted({node for feature in report.features for result in feature.results for node in _nodes(result)})
    if not report.features:
        return ""
    head = "".join(f'<th class="node"><span>{escape(node)}</span></th>' for node in nodes)
    rows: list[str] = []
    for group, features in report.groups().items():
        rows.append(f'<tr class="group"><th colspan="{len(nodes) + 2}">{escape(group)}</th></tr>')
        rows += [_row(feature, nodes) for feature in features]
    return (
        '<section><h2>Features by node of the client</h2><div class="wide"><table class="matrix"><thead><tr>'
        f'<th>feature</th>{head}<th class="past">history</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</section>"
    )


def _row(feature: FeatureReport, nodes: list[str]) -> str:
    cells: list[str] = []
    for node in nodes:
        here = [result for result in feature.results if node in _nodes(result)]
        if not here:
            cells.append("<td></td>")
            continue
        worst = max(here, key=lambda result: (SEVERITY[result.verdict], result.at))
        said = escape(f"{feature.feature} on {node}: {worst.verdict.value}. {worst.message}", quote=True)
        verdict = worst.verdict.value.lower()
        cells.append(f'<td class="cell v-{verdict}" title="{said}">{_GLYPHS[worst.verdict]}</td>')
    return (
        f'<tr><th scope="row"><code>{escape(feature.feature)}</code></th>{"".join(cells)}'
        f"<td>{history(feature.results)}</td></tr>"
    )


def _nodes(result: FeatureResult) -> tuple[str, ...]:
    return result.actors.client_nodes or (result.actors.client_node or _ANYWHERE,)


def _everything(report: RunReport) -> str:
    rows = "".join(
        f'<tr><td><code>{escape(feature.feature)}</code></td><td class="v-{feature.worst.verdict.value.lower()}">'
        f"{_GLYPHS[feature.worst.verdict]} {feature.worst.verdict.value}</td><td>{escape(feature.claim)}</td>"
        f"<td>{escape(feature.worst.message)}</td><td>{escape(confidence(feature))}</td></tr>"
        for feature in report.features
    )
    return (
        '<section><h2>Everything</h2><div class="wide"><table><thead><tr><th>feature</th><th>verdict</th>'
        f"<th>promises</th><th>found</th><th>proves</th></tr></thead><tbody>{rows}</tbody></table></div></section>"
    )
