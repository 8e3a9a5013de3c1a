"""etcd, the Kubernetes control plane, kubectl, KWOK and helm, built from pinned Go modules into the cache."""

from dataclasses import dataclass
from pathlib import Path

from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.toolboxes.recipe import Program, Recipe
from steward.testing.toolboxes.shelf import Built, Report
from steward.testing.toolboxes.toolbox import Toolbox, Workbench

_MODULES = Path(__file__).parent / "modules"
_BASE = "k8s.io/component-base/version"
_CHART = "helm.sh/helm/v3/pkg/chartutil"
RECIPES = (
    Recipe(
        "control_plane",
        (
            Program("k8s.io/kubernetes/cmd/kube-apiserver", "kube-apiserver"),
            Program("k8s.io/kubernetes/cmd/kube-controller-manager", "kube-controller-manager"),
            Program("k8s.io/kubernetes/cmd/kube-scheduler", "kube-scheduler"),
            Program("k8s.io/kubernetes/cmd/kubectl", "kubectl"),
            Program("sigs.k8s.io/kwok/cmd/kwok", "kwok"),
            Program("go.etcd.io/etcd/server/v3", "etcd"),
        ),
        (
            (f"{_BASE}.gitVersion", "{k8s.io/kubernetes}"),
            (f"{_BASE}.gitMajor", "1"),
            (f"{_BASE}.gitMinor", "{k8s.io/kubernetes:minor}"),
            (f"{_BASE}.gitTreeState", "clean"),
            ("sigs.k8s.io/kwok/pkg/consts.Version", "{sigs.k8s.io/kwok}"),
        ),
        _MODULES,
    ),
    Recipe(
        "helm",
        (Program("helm.sh/helm/v3/cmd/helm", "helm"),),
        (
            ("helm.sh/helm/v3/internal/version.version", "{helm.sh/helm/v3}"),
            (f"{_CHART}.k8sVersionMajor", "1"),
            (f"{_CHART}.k8sVersionMinor", "{k8s.io/client-go:minor}"),
        ),
        _MODULES,
    ),
)
_KWOK_OPTIONS = _MODULES / "kwok.yaml"
_KWOK_STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
)


@dataclass(frozen=True, slots=True)
class Binaries(Built):
    """A folder of binaries and the files that go with them."""

    @property
    def kwok_configuration(self) -> Path:
        """KWOK's options and stages; the binary itself brings none."""
        return self.directory / "kwok.yaml"

    @property
    def gateway_api(self) -> Path:
        """The folder of the Gateway API's standard CRDs."""
        return self.directory / "gateway-api"


def cached(settings: ClusterTestSettings) -> Binaries:
    """The folder that `build` fills; may be incomplete or absent."""
    return Binaries(_TOOLBOX.shelf(settings).built.directory)


def build(settings: ClusterTestSettings, report: Report | None = None) -> Binaries:
    """The binaries, built now if the cache does not have them. Minutes when cold, milliseconds when warm."""
    return Binaries(_TOOLBOX.build(settings, report))


def _finish(bench: Workbench, target: Path) -> None:
    pinned = RECIPES[0].directory
    stages = bench.module("sigs.k8s.io/kwok", pinned) / "kustomize" / "stage"
    documents = [_KWOK_OPTIONS.read_text(), *((stages / f"{name}.yaml").read_text() for name in _KWOK_STAGES)]
    (target / "kwok.yaml").write_text("\n---\n".join(documents))
    source = bench.module("sigs.k8s.io/gateway-api", pinned) / "config" / "crd" / "standard"
    copy = target / "gateway-api"
    copy.mkdir()
    for crd in sorted(source.glob("gateway.networking.k8s.io_*.yaml")):
        # Bytes only: files of the module cache are read-only, and a copied mode would make the cache undeletable.
        (copy / crd.name).write_bytes(crd.read_bytes())


_TOOLBOX = Toolbox(
    name="binaries",
    title="the test cluster's binaries",
    lasts="about six minutes on two cores",
    remedy="install Go 1.26 or newer, or name a cluster of your own in KUBECONFIG",
    recipes=RECIPES,
    finish=_finish,
    ingredients=lambda: _KWOK_OPTIONS.read_bytes() + repr(_KWOK_STAGES).encode(),
)
