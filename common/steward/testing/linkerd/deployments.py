"""The Deployments and the CronJob of a control plane, as data."""

from dataclasses import dataclass
from hashlib import sha256

from steward.jsonvalue import Json, JsonObject, dig, flag, table, text, texts, whole
from steward.testing.linkerd.objects import COMPONENT, CONTROL_PLANE_NS, CREATED_BY, labelled, labels_of, thing
from steward.testing.linkerd.proxy import TRUST_ROOTS, Wanted, network_container, proxy_container, volumes
from steward.testing.linkerd.values import NAMESPACE, Installation, ProxyValues

_TLS = "/var/run/linkerd/tls"
_TOKEN_VOLUME = "kube-api-access"


@dataclass(frozen=True, slots=True)
class Controller:
    """One container of a component: its ports as `name:number`, the admin port last, its volumes as `name=path`."""

    name: str
    args: str
    ports: str
    mounts: str = ""
    command: str = ""
    alive: str = "/ping"
    env: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Component:
    """One Deployment. `volumes` are `name=kind:source`; kind is `secret` or `config`."""

    name: str
    controllers: tuple[Controller, ...]
    volumes: str = ""
    checksum: bool = True
    selects_all: bool = True
    require_tls: tuple[int, ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    native_allowed: bool = True
    proxy_last: bool = False


COMPONENTS = (
    Component(
        "identity",
        (
            Controller(
                "identity",
                "identity -log-level={log} -log-format=plain -controller-namespace=linkerd "
                "-identity-trust-domain=cluster.local -identity-issuance-lifetime=24h0m0s "
                "-identity-clock-skew-allowance=20s -identity-scheme=linkerd.io/tls",
                "ident-grpc:8080 ident-admin:9990",
                "identity-issuer=/var/run/linkerd/identity/issuer trust-roots=/var/run/linkerd/identity/trust-roots/",
                env=(("LINKERD_DISABLED", "linkerd-await cannot block the identity controller"),),
            ),
        ),
        f"identity-issuer=secret:linkerd-identity-issuer trust-roots=config:{TRUST_ROOTS}",
        checksum=False,
        require_tls=(8080,),
        native_allowed=False,
        proxy_last=True,
    ),
    Component(
        "destination",
        (
            Controller(
                "destination",
                "destination -addr=:8086 -controller-namespace=linkerd -log-level={log} -log-format=plain "
                "-cluster-domain=cluster.local -identity-trust-domain=cluster.local",
                "dest-grpc:8086 dest-admin:9996",
            ),
            Controller(
                "sp-validator",
                "sp-validator -log-level={log} -log-format=plain",
                "sp-validator:8443 spval-admin:9997",
                f"sp-tls={_TLS}",
            ),
            Controller(
                "policy",
                "--admin-addr=0.0.0.0:9990 --control-plane-namespace=linkerd --grpc-addr=0.0.0.0:8090 "
                f"--server-addr=0.0.0.0:9443 --server-tls-key={_TLS}/tls.key --server-tls-certs={_TLS}/tls.crt "
                "--log-level={log} --log-format=plain",
                "policy-grpc:8090 policy-https:9443 policy-admin:9990",
                f"policy-tls={_TLS}",
                command="/linkerd-policy-controller",
                alive="/live",
            ),
        ),
        "sp-tls=secret:linkerd-sp-validator-k8s-tls policy-tls=secret:linkerd-policy-validator-k8s-tls",
    ),
    Component(
        "proxy-injector",
        (
            Controller(
                "proxy-injector",
                "proxy-injector -log-level={log} -log-format=plain -linkerd-namespace=linkerd",
                "proxy-injector:8443 injector-admin:9995",
                f"config=/var/run/linkerd/config trust-roots=/var/run/linkerd/identity/trust-roots tls={_TLS}",
            ),
        ),
        f"config=config:linkerd-config trust-roots=config:{TRUST_ROOTS} tls=secret:linkerd-proxy-injector-k8s-tls",
        selects_all=False,
        annotations=(("config.linkerd.io/opaque-ports", "8443"),),
    ),
)


def of_component(component: Component, installation: Installation, checksum_of: str) -> JsonObject:
    """The Deployment; `checksum_of` is what its pods must restart for when it changes."""
    values = installation.values
    name = f"linkerd-{component.name}"
    labels = _app_labels(component.name, installation)
    result = labelled(thing("apps/v1", "Deployment", name), labels, {CREATED_BY: installation.created_by})
    pod_labels: JsonObject = labels_of(component.name) | {
        "linkerd.io/workload-ns": NAMESPACE,
        "linkerd.io/proxy-deployment": name,
    }
    selected = (COMPONENT, CONTROL_PLANE_NS, "linkerd.io/proxy-deployment") if component.selects_all else (COMPONENT,)
    result["spec"] = {
        "replicas": whole(values, "controllerReplicas", default=1),
        "revisionHistoryLimit": whole(values, "revisionHistoryLimit", default=10),
        "selector": {"matchLabels": {key: pod_labels[key] for key in selected}},
        "strategy": table(values, "deploymentStrategy"),
        "template": {
            "metadata": {
                "annotations": _pod_annotations(component, installation, checksum_of),
                "labels": pod_labels,
            },
            "spec": _pod_spec(component, installation),
        },
    }
    return result


def of_heartbeat(installation: Installation) -> JsonObject:
    """The CronJob that reports once a day."""
    labels = _app_labels("heartbeat", installation)
    result = labelled(thing("batch/v1", "CronJob", "linkerd-heartbeat"), labels, {CREATED_BY: installation.created_by})
    command = "heartbeat -controller-namespace=linkerd -log-level={log} -log-format=plain"
    heartbeat = Controller(
        "heartbeat", command, "", env=(("LINKERD_DISABLED", "the heartbeat controller does not use the proxy"),)
    )
    template: JsonObject = {
        "metadata": {
            "labels": {COMPONENT: "heartbeat", "linkerd.io/workload-ns": NAMESPACE},
            "annotations": {CREATED_BY: installation.created_by},
        },
        "spec": {
            **_pod_base("heartbeat", installation),
            "restartPolicy": "Never",
            "containers": [_container(heartbeat, installation)],
            "volumes": [_token_volume()],
        },
    }
    result["spec"] = {
        "concurrencyPolicy": "Replace",
        "schedule": text(installation.values, "heartbeatSchedule") or "0 0 * * *",
        "successfulJobsHistoryLimit": 0,
        "jobTemplate": {"spec": {"template": template}},
    }
    return result


def of_disruption_budget(component: str, name: str, values: JsonObject) -> JsonObject:
    """The PodDisruptionBudget that a highly available control plane has for each component."""
    result = labelled(thing("policy/v1", "PodDisruptionBudget", name), labels_of(component))
    result["spec"] = {
        "maxUnavailable": dig(values, "controller", "podDisruptionBudget", "maxUnavailable"),
        "selector": {"matchLabels": {COMPONENT: component}},
    }
    return result


def _app_labels(component: str, installation: Installation) -> dict[str, Json]:
    return labels_of(component) | {
        "app.kubernetes.io/name": component,
        "app.kubernetes.io/part-of": "Linkerd",
        "app.kubernetes.io/version": installation.control_plane_version,
    }


def _pod_annotations(component: Component, installation: Installation, checksum_of: str) -> JsonObject:
    proxy = ProxyValues(installation.values)
    annotations: JsonObject = {
        CREATED_BY: installation.created_by,
        "linkerd.io/proxy-version": proxy.version,
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "true",
        "linkerd.io/trust-root-sha256": installation.trust.digest,
        "config.linkerd.io/default-inbound-policy": proxy.word("defaultInboundPolicy"),
        **dict(component.annotations),
        **texts(installation.values, "podAnnotations"),
    }
    if component.checksum:
        annotations["checksum/config"] = sha256(checksum_of.encode()).hexdigest()
    return annotations


def _pod_spec(component: Component, installation: Installation) -> JsonObject:
    values = ProxyValues(installation.values)
    native = values.native and component.native_allowed
    ports = [number for controller in component.controllers for number in _ports(controller).values()]
    wanted = Wanted(
        image=values.image,
        init_image=values.release.init_image(values.image),
        native=native,
        inbound_ports=ports,
        require_tls_ports=component.require_tls,
        at_home=component.name,
    )
    proxy, init = proxy_container(wanted, values), network_container(wanted, values)
    containers: list[Json] = [_container(controller, installation) for controller in component.controllers]
    if not native:
        containers = [*containers, proxy] if component.proxy_last else [proxy, *containers]
    return {
        **_pod_base(component.name, installation),
        "containers": containers,
        "initContainers": [init, proxy] if native else [init],
        "volumes": [*_volumes(component.volumes), _token_volume(), *volumes(values)],
        **_affinity(component.name, installation.values),
    }


def _pod_base(component: str, installation: Installation) -> JsonObject:
    return {
        "nodeSelector": dict(table(installation.values, "nodeSelector")),
        "automountServiceAccountToken": False,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "serviceAccountName": f"linkerd-{component}",
    }


def _affinity(component: str, values: JsonObject) -> JsonObject:
    if not flag(values, "enablePodAntiAffinity"):
        return {}
    selector: Json = {"matchExpressions": [{"key": COMPONENT, "operator": "In", "values": [component]}]}
    term: Json = {"labelSelector": selector, "topologyKey": "kubernetes.io/hostname"}
    return {"affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}}


def _ports(controller: Controller) -> dict[str, int]:
    pairs = (word.split(":") for word in controller.ports.split())
    return {name: int(number) for name, number in pairs}


def _container(controller: Controller, installation: Installation) -> JsonObject:
    values = installation.values
    image = text(values, "controllerImage")
    mounts: list[Json] = [_mount(*word.split("=")) for word in controller.mounts.split()]
    container: JsonObject = {
        "name": controller.name,
        "image": f"{image}:{installation.control_plane_version}",
        "imagePullPolicy": text(values, "imagePullPolicy", default="IfNotPresent"),
        "args": list[Json](controller.args.format(log=text(values, "controllerLogLevel")).split()),
        "securityContext": _controller_security(whole(values, "controllerUID", default=2103)),
        "volumeMounts": [
            *mounts,
            {"name": _TOKEN_VOLUME, "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
    }
    if controller.command:
        container["command"] = [controller.command]
    if controller.env:
        container["env"] = [{"name": name, "value": value} for name, value in controller.env]
    ports = _ports(controller)
    if ports:
        admin = list(ports.values())[-1]
        named = ProxyValues(values).release.ports_named_by_component
        container["ports"] = [
            {"name": name if named else _name_before(name), "containerPort": number} for name, number in ports.items()
        ]
        container["livenessProbe"] = {"httpGet": {"path": controller.alive, "port": admin}, "initialDelaySeconds": 10}
        container["readinessProbe"] = {"httpGet": {"path": "/ready", "port": admin}, "failureThreshold": 7}
    return container


def _name_before(port: str) -> str:
    """What a port was called when those of all components were called alike."""
    if port.endswith("-admin"):
        return "admin-http"
    return "grpc" if port.endswith("-grpc") else port


def _mount(name: str, path: str) -> JsonObject:
    mount: JsonObject = {"name": name, "mountPath": path}
    return mount | {"readOnly": True} if path == _TLS else mount


def _controller_security(uid: int) -> JsonObject:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "runAsUser": uid,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _volumes(words: str) -> list[Json]:
    result: list[Json] = []
    for word in words.split():
        name, _, source = word.partition("=")
        kind, _, where = source.partition(":")
        result.append(
            {"name": name, "secret": {"secretName": where}}
            if kind == "secret"
            else {"name": name, "configMap": {"name": where}}
        )
    return result


def _token_volume() -> Json:
    where: Json = {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}
    sources: list[Json] = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [where]}},
    ]
    return {"name": _TOKEN_VOLUME, "projected": {"defaultMode": 420, "sources": sources}}
