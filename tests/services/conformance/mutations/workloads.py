"""Ways to break a mesh by what stands in objects, as people do."""

from base64 import b64encode

from services.conformance.core.stage import Port, Stage
from services.conformance.core.targets import UNMESHED
from steward.jsonvalue import Json, JsonObject, rows, table, text
from steward.kube.mesh_resources import SERVERS
from steward.kube.resources import CONFIG_MAPS, DEPLOYMENTS, DISRUPTION_BUDGETS, SECRETS, SERVICES, Resource
from steward.testing.dataplane.dataplane import SimulatedDataPlane
from steward.testing.dataplane.faults import Fault, Scope
from steward.testing.kubernetes.cluster import Patch
from steward.testing.linkerd.certificates import Pair, Trust
from tests.services.conformance.mutations.mutation import Breaking

INJECT = "linkerd.io/inject"


def named(name: str, breaking: Breaking) -> Breaking:
    """The same, under a name for tables."""
    breaking.__name__ = name.replace("-", "_")
    return breaking


def scaled(deployment: str, replicas: int, namespace: str = "") -> Breaking:
    """A Deployment has that many pods; of the meshed namespace where none is given."""

    async def scale(plane: SimulatedDataPlane, stage: Stage) -> None:
        home = namespace or (stage.plain if deployment in ("su", UNMESHED) else stage.meshed)
        plane.mesh.change("Deployment", home, deployment, {"spec": {"replicas": replicas}})
        await plane.settled()

    return named(f"{deployment}-scaled-to-{replicas}", scale)


def restarted_under(fault: Fault, deployment: str) -> Breaking:
    """A Deployment is restarted while a fault is on."""

    async def restart(plane: SimulatedDataPlane, stage: Stage) -> None:
        plane.faults.switch_on(fault, Scope(pod=deployment))
        plane.mesh.restart("Deployment", stage.meshed, deployment, "2026-11-21T12:00:00Z")
        await plane.settled()

    return named(f"{deployment}-restarted-under-{fault.name}", restart)


def injected(deployment: str, wish: str) -> Breaking:
    """A Deployment asks for another thing than its namespace."""

    async def inject(plane: SimulatedDataPlane, stage: Stage) -> None:
        home = stage.plain if deployment in ("su", UNMESHED) else stage.meshed
        template: JsonObject = {"metadata": {"annotations": {INJECT: wish}}}
        plane.mesh.change("Deployment", home, deployment, {"spec": {"template": template}})
        await plane.settled()

    return named(f"{deployment}-inject-{wish}", inject)


def run_as(deployment: str, account: str) -> Breaking:
    """The pods of a Deployment run under another ServiceAccount."""

    async def change(plane: SimulatedDataPlane, stage: Stage) -> None:
        template: JsonObject = {"spec": {"serviceAccountName": account}}
        plane.mesh.change("Deployment", stage.meshed, deployment, {"spec": {"template": template}})
        await plane.settled()

    return named(f"{deployment}-run-as-{account}", change)


def annotated(deployment: str, key: str, value: str) -> Breaking:
    """The pods of a Deployment get an annotation."""

    async def annotate(plane: SimulatedDataPlane, stage: Stage) -> None:
        template: JsonObject = {"metadata": {"annotations": {key: value}}}
        plane.mesh.change("Deployment", stage.meshed, deployment, {"spec": {"template": template}})
        await plane.settled()

    return named(f"{deployment}-{key.rpartition('/')[2]}-{value}", annotate)


def listening(deployment: str, port: Port, number: int) -> Breaking:
    """The servers of a Deployment listen on a number where nobody should, instead of on a port of theirs."""

    async def listen(plane: SimulatedDataPlane, stage: Stage) -> None:
        home = stage.plain if deployment in ("su", UNMESHED) else stage.meshed
        template = table(plane.mesh.cluster.get(DEPLOYMENTS, deployment, home), "spec", "template")
        containers: list[Json] = [
            {
                **container,
                "env": [*rows(container, "env"), {"name": "STEWARD_EXERCISER__PORTS", "value": f"{port}={number}"}],
                "ports": [*rows(container, "ports"), {"name": "stray", "containerPort": number}],
            }
            for container in rows(template, "spec", "containers")
        ]
        changed: JsonObject = {"spec": {"template": {"spec": {"containers": containers}}}}
        plane.mesh.change("Deployment", home, deployment, changed)
        await plane.settled()

    return named(f"{deployment}-listens-at-{number}", listen)


def other_trust_roots() -> Breaking:
    """The bundle of trust anchors is another one than proxies were injected with."""

    async def replace(plane: SimulatedDataPlane, stage: Stage) -> None:
        data: Json = {
            "data": {"ca-bundle.crt": "-----BEGIN CERTIFICATE-----\nbm90aGluZw==\n-----END CERTIFICATE-----\n"}
        }
        _patch(plane, CONFIG_MAPS, "linkerd-identity-trust-roots", stage.linkerd_namespace, data)

    return named("trust-roots-replaced", replace)


def foreign_issuer() -> Breaking:
    """The Secret of the issuer holds one that no trust anchor of the mesh vouches for."""

    async def replace(plane: SimulatedDataPlane, stage: Stage) -> None:
        await issued_by(Trust.for_cli(plane.mesh.kubernetes.clock.now()).issuer)(plane, stage)

    return named("issuer-of-another-anchor", replace)


def issued_by(issuer: Pair) -> Breaking:
    """The Secret of the issuer holds this one."""

    async def put(plane: SimulatedDataPlane, stage: Stage) -> None:
        content = {"crt.pem": issuer.certificate, "key.pem": issuer.key}
        data: JsonObject = {key: b64encode(value.encode()).decode() for key, value in content.items()}
        _patch(plane, SECRETS, "linkerd-identity-issuer", stage.linkerd_namespace, {"data": data})
        await plane.settled()

    return named("issuer-replaced", put)


def with_port(service: str, port: str, number: int) -> Breaking:
    """A named port of a Service is another one than its clients dial."""

    async def change(plane: SimulatedDataPlane, stage: Stage) -> None:
        ports = rows(plane.mesh.cluster.get(SERVICES, service, stage.meshed), "spec", "ports")
        kept: list[Json] = [{**each, "port": number} if text(each, "name") == port else each for each in ports]
        _patch(plane, SERVICES, service, stage.meshed, {"spec": {"ports": kept}})
        await plane.settled()

    return named(f"{service}-{port}-at-{number}", change)


def stale_after(fault: Fault, deployment: str) -> Breaking:
    """A Deployment loses its pods while nobody is told."""

    async def change(plane: SimulatedDataPlane, stage: Stage) -> None:
        plane.faults.switch_on(fault)
        plane.mesh.change("Deployment", stage.meshed, deployment, {"spec": {"replicas": 0}})
        await plane.settled()

    return named(f"{deployment}-gone-under-{fault.name}", change)


def strict_controller(deployment: str) -> Breaking:
    """The pods of a controller let in nobody but meshed clients."""

    async def annotate(plane: SimulatedDataPlane, stage: Stage) -> None:
        template: JsonObject = {
            "metadata": {"annotations": {"config.linkerd.io/default-inbound-policy": "all-authenticated"}}
        }
        plane.mesh.change("Deployment", stage.linkerd_namespace, deployment, {"spec": {"template": template}})
        await plane.settled()

    return named(f"{deployment}-all-authenticated", annotate)


def controller_port_called(deployment: str, before: str, after: str) -> Breaking:
    """A port of a controller has another name; it listens there as ever."""

    async def rename(plane: SimulatedDataPlane, stage: Stage) -> None:
        home = stage.linkerd_namespace
        template = table(plane.mesh.cluster.get(DEPLOYMENTS, deployment, home), "spec", "template")
        containers: list[Json] = [
            {
                **each,
                "ports": [
                    {**port, "name": after if text(port, "name") == before else text(port, "name")}
                    for port in rows(each, "ports")
                ],
            }
            for each in rows(template, "spec", "containers")
        ]
        changed: JsonObject = {"spec": {"template": {"spec": {"containers": containers}}}}
        plane.mesh.change("Deployment", home, deployment, changed)
        await plane.settled()

    return named(f"{before}-called-{after}", rename)


def controller_port_served(component: str, port: int) -> Breaking:
    """A Server selects a port of a controller, and nobody is authorized."""

    async def serve(plane: SimulatedDataPlane, stage: Stage) -> None:
        spec: JsonObject = {
            "podSelector": {"matchLabels": {"linkerd.io/control-plane-component": component}},
            "port": port,
        }
        metadata: JsonObject = {"name": f"{component}-admin", "namespace": stage.linkerd_namespace}
        plane.mesh.cluster.create(SERVERS, {"metadata": metadata, "spec": spec})
        await plane.settled()

    return named(f"{component}-{port}-under-a-server", serve)


def kept_by_a_budget(app: str) -> Breaking:
    """A disruption budget lets no pod of an app go."""

    async def keep(plane: SimulatedDataPlane, stage: Stage) -> None:
        spec: JsonObject = {"maxUnavailable": 0, "selector": {"matchLabels": {"app": app}}}
        metadata: JsonObject = {"name": app, "namespace": stage.meshed}
        plane.mesh.cluster.create(DISRUPTION_BUDGETS, {"metadata": metadata, "spec": spec})

    return named(f"{app}-kept-by-a-budget", keep)


def _patch(plane: SimulatedDataPlane, resource: Resource, name: str, namespace: str, body: Json) -> None:
    plane.mesh.cluster.patch(resource, name, Patch("merge", body), namespace)
