"""Which resources the fake API server serves, and how each behaves."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from steward.jsonvalue import JsonObject
from steward.kube import resources
from steward.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class ScalePaths:
    """Where a scalable object keeps its numbers; dotted paths as in a CRD."""

    spec: str = "spec.replicas"
    status: str = "status.replicas"
    selector: str = "spec.selector"


@dataclass(frozen=True, slots=True)
class Kind:
    """One served resource in one version."""

    resource: Resource
    status: bool = False
    """Has a status subresource, so the main resource ignores changes of the status."""
    generation: bool = False
    """Counts changes of the desired state in `metadata.generation`."""
    scale: ScalePaths | None = None
    conditional_only: bool = False
    """A replacement must carry a resource version."""
    schema: JsonObject | None = None
    """The structural schema of a custom resource."""
    short_names: tuple[str, ...] = ()

    @property
    def custom(self) -> bool:
        """Whether a CustomResourceDefinition brought it."""
        return self.schema is not None

    @property
    def table(self) -> tuple[str, str]:
        """All versions of a resource share one table."""
        return (self.resource.group, self.resource.plural)


_WORKLOAD_SCALE = ScalePaths()


def _plain(resource: Resource) -> Kind:
    return Kind(resource)


def _built_in() -> list[Kind]:
    workloads = [
        Kind(resources.DEPLOYMENTS, status=True, generation=True, scale=_WORKLOAD_SCALE, short_names=("deploy",)),
        Kind(resources.STATEFUL_SETS, status=True, generation=True, scale=_WORKLOAD_SCALE, short_names=("sts",)),
        Kind(resources.REPLICA_SETS, status=True, generation=True, scale=_WORKLOAD_SCALE, short_names=("rs",)),
        Kind(resources.DAEMON_SETS, status=True, generation=True, short_names=("ds",)),
        Kind(resources.JOBS, status=True, generation=True),
        Kind(resources.CRON_JOBS, status=True, generation=True, short_names=("cj",)),
        Kind(resources.PODS, status=True, generation=True, short_names=("po",)),
        Kind(resources.DISRUPTION_BUDGETS, status=True, generation=True, short_names=("pdb",)),
    ]
    with_status = [
        Kind(resources.NAMESPACES, status=True, short_names=("ns",)),
        Kind(resources.NODES, status=True, short_names=("no",)),
        Kind(resources.SERVICES, status=True, short_names=("svc",)),
        Kind(resources.CRDS, status=True, generation=True, conditional_only=True, short_names=("crd", "crds")),
        Kind(resources.API_SERVICES, status=True, conditional_only=True),
        Kind(
            Resource("networking.k8s.io", "v1", "ingresses", "Ingress"),
            status=True,
            generation=True,
            short_names=("ing",),
        ),
        Kind(
            Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler"),
            status=True,
            short_names=("hpa",),
        ),
        Kind(Resource("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim"), status=True, short_names=("pvc",)),
        Kind(Resource("", "v1", "resourcequotas", "ResourceQuota"), status=True, short_names=("quota",)),
    ]
    plain = [
        _plain(resources.CONFIG_MAPS),
        _plain(resources.SECRETS),
        _plain(resources.SERVICE_ACCOUNTS),
        _plain(resources.CORE_EVENTS),
        _plain(resources.EVENTS),
        _plain(resources.CONTROLLER_REVISIONS),
        _plain(resources.ENDPOINT_SLICES),
        _plain(Resource("", "v1", "endpoints", "Endpoints")),
        Kind(Resource("", "v1", "limitranges", "LimitRange"), short_names=("limits",)),
        Kind(resources.LEASES, conditional_only=True),
        Kind(resources.MUTATING_WEBHOOKS, generation=True),
        Kind(resources.VALIDATING_WEBHOOKS, generation=True),
        _plain(resources.ROLES),
        _plain(resources.ROLE_BINDINGS),
        _plain(resources.CLUSTER_ROLES),
        _plain(resources.CLUSTER_ROLE_BINDINGS),
        Kind(Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy"), generation=True),
        Kind(resources.PRIORITY_CLASSES, generation=True),
    ]
    return [*workloads, *with_status, *plain]


@dataclass(slots=True)
class Catalogue:
    """Everything that is served right now, custom resources included."""

    _kinds: dict[tuple[str, str, str], Kind] = field(default_factory=dict)
    _by_name: dict[tuple[str, str], Kind] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind in _built_in():
            self.add(kind)

    def add(self, kind: Kind) -> None:
        """Serve it, in place of an earlier definition."""
        resource = kind.resource
        self._kinds[(resource.group, resource.version, resource.plural)] = kind
        self._by_name[(resource.api_version, resource.kind)] = kind

    def drop(self, group: str, plural: str) -> None:
        """Serve no version of it any more."""
        for key in [key for key in self._kinds if key[0] == group and key[2] == plural]:
            gone = self._kinds.pop(key)
            self._by_name.pop((gone.resource.api_version, gone.resource.kind), None)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        """The kind at a path."""
        return self._kinds.get((group, version, plural))

    def of(self, resource: Resource) -> Kind:
        """The kind of a handle; a KeyError names what is not served."""
        return self._kinds[(resource.group, resource.version, resource.plural)]

    def named(self, api_version: str, kind: str) -> Kind | None:
        """The kind as an owner reference names it."""
        return self._by_name.get((api_version, kind))

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def one_of_each_table(self) -> dict[tuple[str, str], Kind]:
        """One version of each resource, for work that goes over all objects."""
        return {kind.table: kind for kind in self._kinds.values()}
