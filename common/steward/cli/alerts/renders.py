"""`alerts render`: the rule files and Alertmanager's configuration that would be in force; no secret is in them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from steward.alerting.channels.plain import Rendered, rendered
from steward.alerting.channels.target import Target
from steward.alerting.monitoring import Monitoring
from steward.alerting.objectives.rendering import rendered_annotations
from steward.alerting.pack import inhibitions
from steward.alerting.policy_rules import PolicyRules, Whereabouts, policy_rules
from steward.alerting.rules import rule_document
from steward.alerting.scrape_detection import detect
from steward.alerting.targets import targets_in
from steward.cli.alerts.around import facts_in, facts_of
from steward.cli.alerts.documents import Files, read_as, read_documents
from steward.cli.alerts.objects import all_channels, all_policies
from steward.cli.alerts.reach import Monitors, alertmanager, prometheus
from steward.cli.alerts.target import Fit, version
from steward.cli.connection import NAMESPACE, cluster, steward_namespace
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import explain
from steward.cli.options import Output, Session, Timeout, leaf, limit
from steward.cli.output import Format, document, note, show_document, write
from steward.cli.version import running_linkerd
from steward.errors import StewardError
from steward.jsonvalue import Json, JsonObject
from steward.kube.client import Kube
from steward.resources import AlertChannel, AlertPolicy

ROUTES = "alertmanager.yml"
_ANNOTATED = "_annotated"


@dataclass(frozen=True, slots=True)
class Origin:
    """From what, and to where."""

    file: Files = None
    namespace: Annotated[
        str, typer.Option("--namespace", "-n", help="Of objects in files that name none.", metavar="NAME")
    ] = "default"
    to: Annotated[
        Path | None, typer.Option("--to", help="Write files into this folder instead of printing.", metavar="FOLDER")
    ] = None


@dataclass(frozen=True, slots=True)
class InForce:
    """What would be in force."""

    rules: dict[str, JsonObject]
    """Name of the file → its content."""
    routes: Rendered
    refused: tuple[str, ...] = ()
    """A sentence for each thing that would not be."""

    def document(self) -> JsonObject:
        """For programs."""
        secrets: list[Json] = [
            {
                "channel": str(each.channel),
                "secret": f"{each.channel.namespace}/{each.secret.name}",
                "key": each.secret.key,
                "path": each.path,
            }
            for each in self.routes.secret_files
        ]
        return {
            "rules": dict(self.rules),
            "alertmanager": self.routes.document,
            "secretFiles": secrets,
            "refused": [*self.refused],
        }


@leaf
async def render(
    session: Session, origin: Origin, fit: Fit, where: Monitors, output: Output = Format.TABLE, timeout: Timeout = None
) -> ExitCode:
    """Print what would be in force: rule files, and the configuration of Alertmanager, in which no secret is.

    From the objects of the cluster and the monitoring that is found there, or with -f from files, without a cluster.
    Ends with 1 where anything is refused.

    Example: linkerd steward alerts render -f policy.yaml --scrape PodMonitor --to out/
    """
    async with limit(timeout):
        if origin.file:
            found = _of_files(session, origin, origin.file, fit)
        else:
            async with cluster(session) as kube:
                found = await _of_cluster(session, kube, fit, where)
    for each in found.refused:
        note(f"refused: {each}")
    if origin.to is not None:
        _written(found, origin.to)
    elif output is Format.TABLE:
        for name, content in _contents(found):
            write(f"# {name}\n---\n{document(content, Format.YAML)}")
    else:
        show_document(found.document(), output, "", session.environment)
    return ExitCode.FAILED if found.refused else ExitCode.OK


def _of_files(session: Session, origin: Origin, files: Sequence[Path], fit: Fit) -> InForce:
    documents = read_documents(files, origin.namespace)
    policies, channels = read_as(AlertPolicy, documents), read_as(AlertChannel, documents)
    facts, assumed = facts_in(documents, policies)
    for place in assumed:
        note(f"Service '{place.namespace}/{place.name}' is in none of the files, and taken to be there")
    around = Whereabouts(facts, fit.monitoring(session.linkerd_namespace), NAMESPACE)
    return in_force(policies, channels, around)


async def _of_cluster(session: Session, kube: Kube, fit: Fit, where: Monitors) -> InForce:
    monitoring = await _monitoring(session, kube, fit, where)
    around = Whereabouts(await facts_of(kube), monitoring, await steward_namespace(kube))
    return in_force(await all_policies(kube), await all_channels(kube), around)


def in_force(policies: Iterable[AlertPolicy], channels: Iterable[AlertChannel], around: Whereabouts) -> InForce:
    """What would be in force of all this. Pure."""
    rules: dict[str, JsonObject] = {}
    refused: list[str] = []
    for policy in policies:
        name = f"{policy.metadata.namespace}.{policy.metadata.name}"
        found = policy_rules(policy, around)
        refused += [f"AlertPolicy {name.replace('.', '/', 1)}: {each}" for each in _refused(found)]
        if found.groups:
            rules[f"{name}.yaml"] = rule_document(found.groups)
    for namespace, annotated in rendered_annotations(around.facts, around.monitoring):
        if annotated.groups:
            rules[f"{namespace}.{_ANNOTATED}.yaml"] = rule_document(annotated.groups)
        found = PolicyRules((), annotated, annotated.targets)
        refused += [f"annotations in {namespace}: {each}" for each in _refused(found)]
    target = Target(around.home, around.monitoring.alertmanager, inhibitions=inhibitions())
    routes = rendered(channels, target)
    refused += [f"{each.object}: {each.sentence}" for each in routes.refused]
    return InForce(rules, routes, tuple(refused))


def _refused(found: PolicyRules) -> Iterator[str]:
    if found.misplaced:
        yield found.misplaced
    for each in found.refused:
        yield f"{each.target}: {each.message}"


async def _monitoring(session: Session, kube: Kube, fit: Fit, where: Monitors) -> Monitoring:
    """What is found of the monitoring; where it cannot be asked, what the flags say."""
    found = fit.monitoring(session.linkerd_namespace)
    if not fit.linkerd:
        found = replace(found, linkerd=version(await running_linkerd(kube)))
    try:
        async with prometheus(session, where, kube) as api:
            about = await api.about()
            scraped = detect(targets_in(await api.targets()))
        found = replace(
            found,
            scrape=scraped.profile,
            retention=about.retention,
            evaluation=about.evaluation or found.evaluation,
            prometheus=about.version,
        )
    except StewardError as error:
        note(f"rendered for a Prometheus of {fit.scrape.value}, because it cannot be asked: {explain(error).message}")
    if fit.alertmanager_version:
        return found
    try:
        async with alertmanager(session, where, kube) as api:
            return replace(found, alertmanager=await api.version())
    except StewardError as error:
        note(f"rendered for the newest Alertmanager, because it cannot be asked: {explain(error).message}")
        return found


def _contents(found: InForce) -> Iterator[tuple[str, JsonObject]]:
    yield from sorted(found.rules.items())
    if found.routes.document is not None:
        yield ROUTES, found.routes.document


def _written(found: InForce, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _contents(found):
        (folder / name).write_text(document(content, Format.YAML))
        note(str(folder / name))
