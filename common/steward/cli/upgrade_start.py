"""`upgrade start` and `upgrade preview`: write an UpgradeRun, then repeat what upgrader says of it."""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import typer

from steward.cli.connection import cluster
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, note, show_document
from steward.cli.preview import notices_of, preview_report
from steward.cli.run_choice import all_runs, free_name, is_preview, the_run, under_way
from steward.cli.run_stream import follow
from steward.cli.run_view import is_over, run_report, status_of, trouble, verdict
from steward.cli.watch import watch
from steward.kube.client import Kube
from steward.kube.resources import UPGRADE_PLANS, UPGRADE_POLICIES, UPGRADE_RUNS
from steward.linkerd.version import MalformedVersion, Version
from steward.resources import UpgradePolicy, UpgradeRun
from steward.resources.base import LocalRef, ObjectMeta, condition_of
from steward.resources.upgrade_run import DryRun, Purpose, UpgradeRunSpec

_TAKEN_UP_WITHIN = timedelta(seconds=20)
_PREVIEWED_WITHIN = timedelta(minutes=2)

Target = Annotated[
    str, typer.Argument(metavar="TARGET", help="The release to end at, such as edge-26.8.3; else the policy chooses.")
]


@dataclass(frozen=True, slots=True)
class Origin:
    """What the run is made from."""

    plan: Annotated[str, typer.Option(help="UpgradePlan to use; else the versions choose.", metavar="NAME")] = ""
    policy: Annotated[str, typer.Option(help="UpgradePolicy to obey.", metavar="NAME")] = "default"


@dataclass(frozen=True, slots=True)
class Manner:
    """How the run begins."""

    name: Annotated[str, typer.Option(help="Name of the new UpgradeRun; else that of the target.", metavar="NAME")] = ""
    restart_only: Annotated[
        bool, typer.Option("--restart-only", help="Only repair proxies; leave the control plane as it is.")
    ] = False
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the run until it is over.")] = False


@leaf
async def start(
    session: Session,
    origin: Origin,
    manner: Manner,
    target: Target = "",
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Begin an upgrade: the policy chooses the release, the two versions choose the plan.

    Example: linkerd steward upgrade start edge-26.8.3 --watch
    """
    async with limit(timeout), cluster(session) as kube:
        purpose = Purpose.RESTART_ONLY if manner.restart_only else Purpose.UPGRADE
        spec = await _spec(kube, target, origin)
        run = await _begin(kube, spec.model_copy(update={"purpose": purpose}), manner.name)
        note(f"UpgradeRun {run.metadata.name!r} created")
        run = await _taken_up(kube, run, _TAKEN_UP_WITHIN)
        for notice in notices_of(run):
            note(f"notice: {notice}")
        if manner.watch:
            return await watch(session, follow(kube, run.metadata.name), through_pauses=False)
    show_document(run.to_json(), output, run_report(run, session.clock.now()), session.environment)
    return verdict(run)


@leaf
async def preview(
    session: Session,
    origin: Origin,
    target: Target = "",
    run_name: Annotated[str, typer.Option("--run", help="Show this preview again; create none.", metavar="NAME")] = "",
    output: Output = Format.TABLE,
    timeout: Timeout = None,
) -> ExitCode:
    """Say what an upgrade would do, and do nothing.

    Shows the steps, the workloads, what cannot be restarted, and whether there is a way back.

    Example: linkerd steward upgrade preview edge-26.8.3
    """
    async with limit(timeout), cluster(session) as kube:
        if run_name:
            run = await _earlier_preview(kube, run_name)
        else:
            spec = await _spec(kube, target, origin)
            run = await _create(kube, spec.model_copy(update={"dry_run": DryRun.PREVIEW}), f"preview-{spec.target}")
            note(f"UpgradeRun {run.metadata.name!r} created")
            run = await _taken_up(kube, run, timeout or _PREVIEWED_WITHIN)
    picture = preview_report if status_of(run).preview else run_report
    show_document(run.to_json(), output, picture(run, session.clock.now()), session.environment)
    return verdict(run)


async def _earlier_preview(kube: Kube, name: str) -> UpgradeRun:
    run = await the_run(kube, name)
    if is_preview(run):
        return run
    raise Refusal(
        f"UpgradeRun {name!r} is no preview", f"linkerd steward upgrade status {name} shows it", ExitCode.USAGE
    )


async def _spec(kube: Kube, target: str, origin: Origin) -> UpgradeRunSpec:
    plan, policy = origin.plan, origin.policy
    found = await kube.find(UPGRADE_POLICIES, policy)
    if found is None:
        raise Refusal(
            f"UpgradePolicy {policy!r} does not exist", "apply one, or name another with --policy", ExitCode.NOT_FOUND
        )
    if plan and await kube.find(UPGRADE_PLANS, plan) is None:
        raise Refusal(f"UpgradePlan {plan!r} does not exist", "linkerd steward plans list", ExitCode.NOT_FOUND)
    in_force = UpgradePolicy.of(found)
    if in_force.spec.paused:
        raise Refusal(
            f"UpgradePolicy {policy!r} is paused: no run begins",
            f'kubectl patch upgradepolicy {policy} --type merge -p \'{{"spec":{{"paused":false}}}}\'',
            ExitCode.NEEDS_ATTENTION,
        )
    return UpgradeRunSpec(
        target=str(_version(target or _candidate(in_force))),
        plan_ref=LocalRef(name=plan) if plan else None,
        policy_ref=LocalRef(name=policy),
    )


def _candidate(policy: UpgradePolicy) -> str:
    """What the policy would upgrade to, or upgrader's own words on why there is nothing."""
    status = policy.status
    if status is not None and status.candidate:
        return status.candidate
    path = condition_of(status.conditions, "PathAvailable") if status else None
    why = f"{path.reason}: {path.message}" if path else "upgrader has not looked at it yet"
    raise Refusal(
        f"UpgradePolicy {policy.metadata.name!r} has no release to upgrade to: {why}",
        "name a release yourself: linkerd steward upgrade start TARGET; linkerd steward releases lists them",
    )


def _version(target: str) -> Version:
    try:
        return Version.parse(target)
    except MalformedVersion as error:
        raise Refusal(str(error), "linkerd steward releases lists them", ExitCode.USAGE) from error


async def _begin(kube: Kube, spec: UpgradeRunSpec, name: str) -> UpgradeRun:
    other = under_way(await all_runs(kube))
    if other is not None:
        phase = status_of(other).phase.value
        raise Refusal(
            f"UpgradeRun {other.metadata.name!r} to {other.spec.target} is under way ({phase}): one at a time",
            f"follow it with: linkerd steward upgrade watch {other.metadata.name}; "
            f"or end it with: linkerd steward upgrade abort {other.metadata.name}",
        )
    return await _create(kube, spec, name or spec.target, exactly=bool(name))


async def _create(kube: Kube, spec: UpgradeRunSpec, wanted: str, *, exactly: bool = False) -> UpgradeRun:
    name = wanted if exactly else free_name(wanted, await all_runs(kube))
    run = UpgradeRun(metadata=ObjectMeta(name=name), spec=spec)
    body = run.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return UpgradeRun.of(
        await kube.create(
            UPGRADE_RUNS, {**body, "apiVersion": run.api_version, "kind": run.kind, "metadata": {"name": name}}
        )
    )


async def _taken_up(kube: Kube, run: UpgradeRun, within: timedelta) -> UpgradeRun:
    """The run once upgrader has said something of it; as it is where upgrader says nothing in time."""
    current = run
    try:
        async with asyncio.timeout(within.total_seconds()), aclosing(follow(kube, run.metadata.name)) as sights:
            async for sight in sights:
                current = sight.run
                if _has_an_answer(current):
                    break
    except TimeoutError:
        note(
            f"hint: upgrader has not answered within {within.total_seconds():g} s; "
            "linkerd steward check shows whether it runs"
        )
    return current


def _has_an_answer(run: UpgradeRun) -> bool:
    if is_over(run) or trouble(run) is not None:
        return True
    return status_of(run).snapshot is not None and not is_preview(run)
