"""What an SLI of OpenSLO measures: a target of the mesh, or something that Steward does not count."""

from dataclasses import dataclass

from pydantic import ValidationError

from steward.alerting.openslo.claims import Claims
from steward.alerting.openslo.documents import SOURCE
from steward.jsonvalue import Json
from steward.resources.alert_policy import AlertPolicySpec, Granularity, Side, TargetKind, TargetRef

_SPEC = ("metricSource", "spec")
_SHARED = ("kind", "name", "namespace", "side", "granularity", "minimumRequestsPerSecond")
_USUAL = AlertPolicySpec()


@dataclass(frozen=True, slots=True)
class Measure:
    """A target, how it is looked at, and what of it is good."""

    namespace: str
    target: TargetRef
    side: Side
    granularity: Granularity
    minimum_rps: float
    milliseconds: int | None
    """Within which an answer is good; None: an answer is good that succeeds."""


def measure_of(sli: Claims, namespace: str) -> Measure | None:
    """What the SLI measures; None where that cannot be carried over, which is named."""
    ratio = sli.part("spec", "ratioMetric")
    good, total = ratio.part("good"), ratio.part("total")
    if not all(part.text("metricSource", "type") == SOURCE for part in (good, total)):
        sli.lose(
            ("spec",),
            f"its metrics are no targets of a mesh: say a ratioMetric with sources of type {SOURCE}, by kind and name",
        )
        return None
    ratio.take("counter")
    said = [good.take(*_SPEC, key) for key in _SHARED]
    if said != [total.take(*_SPEC, key) for key in _SHARED]:
        sli.lose(("spec", "ratioMetric"), "good and total are not of the same target, looked at in the same way")
        return None
    within, success = good.take(*_SPEC, "withinMilliseconds"), good.take(*_SPEC, "success")
    if success is not None and (success is not True or within is not None):
        good.lose((*_SPEC, "success"), "what is good is told by success: true, or by withinMilliseconds")
    try:
        return _measure(dict(zip(_SHARED, said, strict=True)), within, namespace)
    except ValueError as error:
        sli.lose(("spec", "ratioMetric"), f"it names no target that Steward can look at: {one_line(error)}")
        return None


def _measure(said: dict[str, Json], within: Json, namespace: str) -> Measure:
    floor = said["minimumRequestsPerSecond"]
    spec = AlertPolicySpec.model_validate(
        {
            "side": said["side"] or _USUAL.side,
            "granularity": said["granularity"] or _USUAL.granularity,
            "minimumRequestsPerSecond": _USUAL.minimum_requests_per_second if floor is None else floor,
        }
    )
    if within is not None and (isinstance(within, bool) or not isinstance(within, int)):
        raise ValueError(f"withinMilliseconds is {within!r}, and must be a whole number")
    return Measure(
        namespace=str(said["namespace"] or namespace),
        target=TargetRef.model_validate({"kind": said["kind"] or TargetKind.SERVICE, "name": said["name"]}),
        side=spec.side,
        granularity=spec.granularity,
        minimum_rps=spec.minimum_requests_per_second,
        milliseconds=within,
    )


def one_line(error: ValueError) -> str:
    """What is wrong, of a validation every part of it."""
    if isinstance(error, ValidationError):
        return "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
    return str(error)
