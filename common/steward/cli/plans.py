"""`plans`: the saved upgrade plans, and what one of them would do."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.marks import WARNING
from steward.cli.options import Output, Session, leaf, remember
from steward.cli.output import Format, grid, note, plain, show_document
from steward.kube.resources import UPGRADE_PLANS
from steward.resources import UpgradePlan
from steward.resources.base import condition_of

app = typer.Typer(no_args_is_help=True, help="Look at the saved upgrade plans.")
app.callback()(remember)


@app.command("list")
@leaf
async def list_plans(session: Session, output: Output = Format.TABLE) -> ExitCode:
    """List the plans, the one that wins first.

    Example: linkerd steward plans list
    """
    async with cluster(session) as kube:
        listing = await kube.list(UPGRADE_PLANS)
    plans = sorted(
        (UpgradePlan.of(item) for item in listing.items), key=lambda plan: (-plan.spec.priority, plan.metadata.name)
    )
    if not plans and output is Format.TABLE:
        note("there is no UpgradePlan; linkerd steward install brings some")
        return ExitCode.OK
    show_document({"items": [plan.to_json() for plan in plans]}, output, plan_table(plans), session.environment)
    return ExitCode.OK


@app.command("show")
@leaf
async def show_plan(
    session: Session,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Name of the UpgradePlan.")],
    output: Output = Format.TABLE,
) -> ExitCode:
    """Show one plan: its versions, steps, gates and notices.

    Example: linkerd steward plans show linkerd-2.19-to-2.20
    """
    async with cluster(session) as kube:
        found = UpgradePlan.of(await kube.get(UPGRADE_PLANS, plan))
    show_document(found.to_json(), output, plan_report(found), session.environment)
    return ExitCode.OK


def plan_table(plans: Sequence[UpgradePlan]) -> RenderableType:
    """A line for each plan. Pure."""
    rows = [
        (
            plan.metadata.name,
            plan.spec.from_.range,
            plan.spec.to.range,
            str(plan.spec.priority),
            ", ".join(plan.spec.install_methods),
            "yes" if plan.spec.one_way else "no",
            validity(plan),
        )
        for plan in plans
    ]
    return grid(("NAME", "FROM", "TO", "PRIORITY", "METHODS", "ONE-WAY", "VALID"), rows)


def plan_report(plan: UpgradePlan) -> RenderableType:
    """One plan in full. Pure."""
    spec = plan.spec
    logical = "/".join(spec.from_.logical_versions)
    hop = f" (Linkerd {logical} → {spec.to.logical_version})" if logical and spec.to.logical_version else ""
    parts: list[RenderableType] = [
        Text.assemble("UpgradePlan ", plain(plan.metadata.name, "bold")),
        plain(f"from {spec.from_.range} to {spec.to.range}{hop}, for {', '.join(spec.install_methods)}"),
        plain(f"priority {spec.priority}, valid: {validity(plan)}"),
    ]
    if spec.one_way:
        parts.append(plain(f"{WARNING} There is no way back once this has begun", "yellow"))
    rows = [
        (
            str(number),
            step.name,
            step.type.value,
            ", ".join(step.depends_on),
            ", ".join(step.gates),
            _when(step.gate_phase),
        )
        for number, step in enumerate(spec.steps, 1)
    ]
    parts += [Text(""), grid(("", "STEP", "TYPE", "AFTER", "GATES", "ASKED"), rows)]
    if spec.notices:
        parts += [Text(""), Text("Notices", "bold"), *(plain(f"• {notice}") for notice in spec.notices)]
    return Group(*parts)


def validity(plan: UpgradePlan) -> str:
    """What upgrader thinks of the plan."""
    valid = condition_of(plan.status.conditions, "Valid") if plan.status else None
    if valid is None:
        return "unknown"
    return valid.status.value if valid.status == "True" else f"{valid.status}: {valid.reason}: {valid.message}"


def _when(phase: str) -> str:
    return {"Before": "before", "After": "after", "Both": "before and after"}[phase]
