"""What the pages say of conformance: what the README breaks is broken and mends, and the plan with a gate is sound."""

import json
import shlex
from pathlib import Path

import yaml

from services.conformance.core.probes import PROBES
from services.conformance.core.safety import ROLE
from services.upgrader.core.plans import flaw
from steward.conformance.catalogue import catalogue
from steward.conformance.results import Verdict
from steward.jsonvalue import JsonObject, text
from steward.resources.upgrade_plan import GateType, UpgradePlan
from steward.testing.linkerd.mesh import in_pod
from steward.testing.nats import NatsServer
from tests.deploy.kustomize import DEPLOY, REPOSITORY
from tests.documentation.blocks import blocks, commands
from tests.services.conformance.simulated.theatre import healthy, opened, told

SECTION = "Exercise the mesh"


def patches() -> list[tuple[str, JsonObject]]:
    """What the section has people do to a Deployment, in order."""
    words = [
        shlex.split(command)
        for block in blocks(REPOSITORY / "README.md", "bash")
        if block.heading == SECTION
        for command in commands(block)
        if command.startswith("kubectl") and " patch deployment " in command
    ]
    return [(each[each.index("deployment") + 1], json.loads(each[each.index("--patch") + 1])) for each in words]


async def test_what_the_readme_breaks_is_explained_as_it_says_and_recovers_by_its_repair(tmp_path: Path) -> None:
    (target, broken), (_, repair) = patches()
    async with NatsServer() as nats, opened(nats.url, tmp_path) as theatre:
        stage = await theatre.stage()
        theatre.mesh.change("Deployment", stage.meshed, target, broken)
        await theatre.settled()
        seen = await theatre.play("mtls.identity")
        assert seen.result.verdict is Verdict.FAILED, told(seen)
        assert seen.result.causes[0].code == "SKIPPED_PORT", told(seen)
        theatre.mesh.change("Deployment", stage.meshed, target, repair)
        await theatre.settled()
        after = await theatre.play("mtls.identity")
        assert healthy(after), told(after)
        # What it says besides of a policy in the same place.
        theatre.mesh.change(
            "Deployment", stage.meshed, target, in_pod({"config.linkerd.io/default-inbound-policy": "deny"})
        )
        await theatre.settled()
        denied = await theatre.play("mtls.identity")
        assert denied.result.causes[0].code == "POLICY_DENY", told(denied)


def test_the_readme_finds_the_namespace_by_the_label_that_it_has_and_names_causes_that_exist() -> None:
    page = (REPOSITORY / "README.md").read_text(encoding="utf-8").split(f"## {SECTION}")[1].split("\n## ")[0]
    assert f"--selector {ROLE}=mesh" in page
    codes = {cause.code for probe in PROBES for cause in probe.causes}
    assert {"SKIPPED_PORT", "POLICY_DENY", "NETPOL_4143"} <= codes
    assert all(code in page for code in ("SKIPPED_PORT", "POLICY_DENY", "NETPOL_4143"))


def test_the_plan_with_a_gate_can_be_used_as_it_is_shown() -> None:
    shown = [yaml.safe_load(block.text) for block in blocks(DEPLOY / "README.md", "yaml")]
    (plan,) = [UpgradePlan.of(each) for each in shown if text(each, "kind") == "UpgradePlan"]
    assert flaw(plan.spec) is None
    (gate,) = [each for each in plan.spec.gate_templates if each.type is GateType.CONFORMANCE]
    assert gate.conformance is not None
    for pattern in gate.conformance.only:
        assert catalogue().meant(pattern), pattern
