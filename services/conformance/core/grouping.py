"""Features that fail together, and what they share: one finding says more than ten failures."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from steward.conformance.results import Actors, FeatureResult, Verdict
from steward.events.conformance import Finding, FoundCause

_MEMBERS = 3
_PURITY = 0.9
_MOST = 64
_JUDGED = frozenset({Verdict.PASSED, Verdict.FLAKY, Verdict.FAILED})


@dataclass(frozen=True, slots=True)
class Dimension:
    """Something that actors may have in common."""

    words: str
    values: Callable[[Actors], Sequence[str]]


DIMENSIONS: tuple[Dimension, ...] = (
    Dimension("between clients on node {}", lambda actors: actors.client_nodes or (actors.client_node,)),
    Dimension("between servers on node {}", lambda actors: actors.server_nodes),
    Dimension("between clients in zone {}", lambda actors: (actors.client_zone,)),
    Dimension("between servers in zone {}", lambda actors: actors.server_zones),
    Dimension("through client proxies of version {}", lambda actors: (actors.client_proxy,)),
    Dimension("through server proxies of version {}", lambda actors: actors.server_proxies),
    Dimension("in namespace {}", lambda actors: actors.namespaces),
    Dimension("over {}", lambda actors: (actors.protocol,)),
)


@dataclass(frozen=True, slots=True)
class _Share:
    words: str
    features: tuple[str, ...]
    purity: float


def findings(results: Iterable[FeatureResult]) -> tuple[Finding, ...]:
    """What is wrong, the widest first: what shares a place, what shares a cause, then each for itself."""
    latest = _latest(results)
    failed = {feature: result for feature, result in latest.items() if result.verdict is Verdict.FAILED}
    skipped = _skipped(latest.values())
    found: list[Finding] = []
    explained: set[str] = set()
    for share in _shares(latest.values(), failed):
        fresh = set(share.features) - explained
        if len(fresh) < _MEMBERS:
            continue
        explained |= fresh
        members = tuple(sorted(fresh))
        message = f"everything fails {share.words}: {_few(members)}"
        found.append(Finding(message=message, features=members, cause=_common_cause(failed[each] for each in members)))
    for cause, members in _by_cause(failed, explained):
        found.append(_of_cause(cause, members, skipped, failed))
    return tuple(found[:_MOST])


def _latest(results: Iterable[FeatureResult]) -> dict[str, FeatureResult]:
    latest: dict[str, FeatureResult] = {}
    for result in sorted(results, key=lambda each: (each.at, each.cycle)):
        latest[result.feature] = result
    return latest


def _shares(results: Iterable[FeatureResult], failed: Mapping[str, FeatureResult]) -> list[_Share]:
    """Values that almost only failures have. What everything has says nothing."""
    judged = [each for each in results if each.verdict in _JUDGED]
    shares = []
    for dimension in DIMENSIONS:
        having: dict[str, set[str]] = {}
        for result in judged:
            for value in dict.fromkeys(dimension.values(result.actors)):
                if value:
                    having.setdefault(value, set()).add(result.feature)
        for value, features in having.items():
            bad = features & failed.keys()
            purity = len(bad) / len(features)
            everywhere = len(features) == len(judged)
            if len(bad) >= _MEMBERS and purity >= _PURITY and not everywhere:
                shares.append(_Share(dimension.words.format(value), tuple(sorted(bad)), purity))
    return sorted(shares, key=lambda share: (-len(share.features), -share.purity, share.words))


def _by_cause(
    failed: Mapping[str, FeatureResult], explained: set[str]
) -> Iterator[tuple[FoundCause | None, tuple[str, ...]]]:
    groups: dict[str, list[str]] = {}
    for feature, result in sorted(failed.items()):
        if feature not in explained:
            code = result.causes[0].code if result.causes else f"/{feature}"
            groups.setdefault(code, []).append(feature)
    for members in sorted(groups.values(), key=lambda each: (-len(each), each)):
        causes = failed[members[0]].causes
        yield (causes[0] if causes else None), tuple(members)


def _of_cause(
    cause: FoundCause | None,
    members: tuple[str, ...],
    skipped: Mapping[str, tuple[str, ...]],
    failed: Mapping[str, FeatureResult],
) -> Finding:
    why = cause.message if cause is not None else failed[members[0]].message
    verb = "does not work" if len(members) == 1 else "do not work"
    message = f"{_few(members)} {verb}: {why}"
    resting = tuple(sorted({each for member in members for each in skipped.get(member, ())}))
    if resting:
        message += f"; {len(resting)} that rest on it were skipped"
    return Finding(message=message, features=(*members, *resting), cause=cause)


def _skipped(results: Iterable[FeatureResult]) -> dict[str, tuple[str, ...]]:
    because: dict[str, tuple[str, ...]] = {}
    for result in results:
        if result.verdict is Verdict.SKIPPED and result.because:
            because[result.because] = (*because.get(result.because, ()), result.feature)
    return because


def _common_cause(results: Iterable[FeatureResult]) -> FoundCause | None:
    """The cause that most of them name first."""
    firsts = [result.causes[0] for result in results if result.causes]
    if not firsts:
        return None
    codes = [each.code for each in firsts]
    most = max(dict.fromkeys(codes), key=codes.count)
    return next(each for each in firsts if each.code == most)


def _few(features: Sequence[str]) -> str:
    shown = ", ".join(features[:4])
    return f"{shown} and {len(features) - 4} more" if len(features) > 4 else shown
