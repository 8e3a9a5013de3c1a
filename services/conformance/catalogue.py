"""Writes what is known of every probe into the SDK, where the command line reads it without any cluster.

python -m services.conformance.catalogue
"""

import sys
from pathlib import Path

from services.conformance.core.probe import Cause, Probe
from services.conformance.core.probes import PROBES
from services.conformance.core.recipe import lines
from services.conformance.core.stage import Place, Stage
from steward.conformance import catalogue
from steward.conformance.catalogue import Catalogue, CauseEntry, FeatureEntry


def written() -> str:
    """The catalogue of all probes, as it is committed."""
    return (
        Catalogue(features=tuple(_feature(probe) for probe in PROBES)).model_dump_json(by_alias=True, indent=1) + "\n"
    )


def _example() -> Stage:
    """A cast with names instead of addresses: steps are told to people."""
    meshed, plain = "<meshed>", "<plain>"
    places = {
        actor: tuple(
            Place(f"{actor}-{number}", plain if actor in ("cu", "su") else meshed, f"<{actor}-{number}>")
            for number in range(pods)
        )
        for actor, pods in {"cm": 1, "cn": 1, "cu": 1, "sm": 3, "v1": 2, "v2": 1, "sp": 1, "su": 1, "ss": 2}.items()
    }
    return Stage(run="<run>", meshed=meshed, plain=plain, owner={}, places=places)


def _feature(probe: Probe) -> FeatureEntry:
    stage = _example()
    return FeatureEntry(
        feature=probe.id,
        claim=probe.claim,
        tier=probe.tier,
        safety=probe.safety,
        security=probe.security,
        since=probe.since,
        until=probe.until,
        needs=tuple(need.value for need in probe.needs),
        depends_on=probe.depends_on,
        control=probe.control.claim if probe.control else "",
        steps=lines(probe.steps(stage)),
        control_steps=lines(probe.control.steps(stage)) if probe.control else (),
        causes=_causes(probe.causes),
        bound_seconds=probe.bound.total_seconds(),
    )


def _causes(causes: tuple[Cause, ...]) -> tuple[CauseEntry, ...]:
    return tuple(
        CauseEntry(
            code=cause.code,
            rung=cause.rung,
            message=cause.message,
            expected=cause.expected,
            disproof=cause.disproof,
            remedy=cause.remedy,
            command=cause.command,
        )
        for cause in causes
    )


def main() -> None:
    """Write the file and say where."""
    path = Path(catalogue.__file__).with_name(catalogue.FILE)
    path.write_text(written())
    sys.stdout.write(f"{path.name}: {len(PROBES)} features\n")


if __name__ == "__main__":
    main()
