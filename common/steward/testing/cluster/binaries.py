"""etcd, the Kubernetes control plane, kubectl, KWOK and helm, built from pinned Go modules into a cache.

The cache is keyed by everything that decides the outcome (go.mod, go.sum, flags, configuration), is filled into a
temporary folder and renamed, and is locked, so that two builders never meet and a killed build leaves nothing behind.
"""

import fcntl
import hashlib
import json
import platform
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steward.errors import ConfigurationError, ToolError
from steward.testing.cluster.settings import ClusterTestSettings

_MODULES = Path(__file__).parent / "modules"
_MANIFEST = "complete.json"
_PACKAGES_A_LINE = 250

Report = Callable[[str], None]


class GoMissing(ConfigurationError):
    """There is no Go toolchain, and the binaries are not in the cache yet."""


@dataclass(frozen=True, slots=True)
class Program:
    """A Go main package, and the name its binary gets."""

    package: str
    name: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One `go build`: a module folder, what to build in it, and the versions to stamp into the binaries."""

    folder: str
    programs: tuple[Program, ...]
    stamps: tuple[tuple[str, str], ...]
    """Pairs of a Go variable and a template over the versions in go.mod."""

    @property
    def directory(self) -> Path:
        return _MODULES / self.folder

    def link_flags(self) -> str:
        """Without these the API server calls itself v0.0.0-master, and every version gate misfires."""
        go_mod = (self.directory / "go.mod").read_text()
        return " ".join(["-s", "-w", *(f"-X {variable}={_stamp(go_mod, value)}" for variable, value in self.stamps)])


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
    ),
    Recipe(
        "helm",
        (Program("helm.sh/helm/v3/cmd/helm", "helm"),),
        (
            ("helm.sh/helm/v3/internal/version.version", "{helm.sh/helm/v3}"),
            (f"{_CHART}.k8sVersionMajor", "1"),
            (f"{_CHART}.k8sVersionMinor", "{k8s.io/client-go:minor}"),
        ),
    ),
)
_KWOK_STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
)


@dataclass(frozen=True, slots=True)
class Binaries:
    """A complete folder of binaries and the files that go with them."""

    directory: Path

    def path(self, name: str) -> Path:
        """The executable of that name."""
        return self.directory / name

    @property
    def kwok_configuration(self) -> Path:
        """KWOK's options and stages; the binary itself brings none."""
        return self.directory / "kwok.yaml"

    @property
    def gateway_api(self) -> Path:
        """The folder of the Gateway API's standard CRDs."""
        return self.directory / "gateway-api"

    def complete(self) -> bool:
        """Whether all that was built is still there, byte for byte as long as it was."""
        try:
            sizes = json.loads((self.directory / _MANIFEST).read_text())
            return all((self.directory / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, ValueError, AttributeError):
            return False


def cached(settings: ClusterTestSettings) -> Binaries:
    """The folder that `build` fills; may be incomplete or absent."""
    return Binaries(settings.cache / "binaries" / _key())


def build(settings: ClusterTestSettings, report: Report | None = None) -> Binaries:
    """The binaries, built now if the cache does not have them. Minutes when cold, milliseconds when warm."""
    binaries = cached(settings)
    if binaries.complete():
        return binaries
    tell = report or _tell
    go = shutil.which("go", path=settings.environment.get("PATH"))
    if go is None:
        raise GoMissing(
            f"the test cluster's binaries are not in {binaries.directory} and there is no `go` on PATH to build them: "
            "install Go 1.26 or newer, or name a cluster of your own in KUBECONFIG"
        )
    with _locked(settings.cache / "binaries.lock", tell):
        if not binaries.complete():
            _build_into(binaries.directory, go, settings, tell)
    return binaries


def _build_into(target: Path, go: str, settings: ClusterTestSettings, tell: Report) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.unfinished")
    # The lock is ours, so a folder of this name is what a killed build left.
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    tell(f"building the test cluster's binaries into {target} (once; about six minutes on two cores)")
    for recipe in RECIPES:
        _go_build(recipe, unfinished, go, settings, tell)
    _kwok_configuration(unfinished, go, settings)
    _gateway_api(unfinished, go, settings)
    sizes = {str(f.relative_to(unfinished)): f.stat().st_size for f in sorted(unfinished.rglob("*")) if f.is_file()}
    (unfinished / _MANIFEST).write_text(json.dumps(sizes, indent=1))
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    tell("the test cluster's binaries are built")


def _go_build(recipe: Recipe, target: Path, go: str, settings: ClusterTestSettings, tell: Report) -> None:
    # Packages whose folder is named otherwise than the binary wanted (etcd's is `server/v3`) need a build of their own.
    usual = [p.package for p in recipe.programs if p.package.rpartition("/")[2] == p.name]
    others = [p for p in recipe.programs if p.package.rpartition("/")[2] != p.name]
    builds = [(usual, target)] + [([p.package], target / p.name) for p in others]
    for packages, output in builds:
        names = ", ".join(package.rpartition("/cmd/")[2] or package for package in packages)
        tell(f"go build: {names}")
        argv = [go, "build", "-v", "-mod=readonly", "-buildvcs=false", "-trimpath", "-ldflags", recipe.link_flags()]
        argv += ["-o", f"{output}/" if output == target else str(output), *packages]
        _run_go_build(argv, recipe, settings, tell)


def _run_go_build(argv: list[str], recipe: Recipe, settings: ClusterTestSettings, tell: Report) -> None:
    tail: deque[str] = deque(maxlen=40)
    with subprocess.Popen(
        argv,
        cwd=recipe.directory,
        env=settings.child_environment(CGO_ENABLED="0", GOFLAGS=""),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        for count, line in enumerate(process.stderr or (), start=1):
            tail.append(line)
            if count % _PACKAGES_A_LINE == 0:
                tell(f"  {count} packages compiled, at {line.strip()}")
    if process.returncode:
        raise ToolError(f"`go build` in {recipe.directory} failed with {process.returncode}:\n{''.join(tail)}")


def _kwok_configuration(target: Path, go: str, settings: ClusterTestSettings) -> None:
    stages = _module_directory("sigs.k8s.io/kwok", go, settings) / "kustomize" / "stage"
    documents = [
        (_MODULES / "kwok.yaml").read_text(),
        *((stages / f"{name}.yaml").read_text() for name in _KWOK_STAGES),
    ]
    (target / "kwok.yaml").write_text("\n---\n".join(documents))


def _gateway_api(target: Path, go: str, settings: ClusterTestSettings) -> None:
    source = _module_directory("sigs.k8s.io/gateway-api", go, settings) / "config" / "crd" / "standard"
    copy = target / "gateway-api"
    copy.mkdir()
    for crd in sorted(source.glob("gateway.networking.k8s.io_*.yaml")):
        # Bytes only: files of the module cache are read-only, and a copied mode would make the cache undeletable.
        (copy / crd.name).write_bytes(crd.read_bytes())


def _module_directory(module: str, go: str, settings: ClusterTestSettings) -> Path:
    argv = [go, "mod", "download", "-json", module]
    done = subprocess.run(
        argv,
        cwd=RECIPES[0].directory,
        env=settings.child_environment(GOFLAGS="-mod=readonly"),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolError(f"`{' '.join(argv[1:])}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return Path(str(json.loads(done.stdout)["Dir"]))


@contextmanager
def _locked(path: Path, tell: Report) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell(f"another process builds the test cluster's binaries; waiting for it to leave {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _key() -> str:
    digest = hashlib.sha256(platform.machine().encode())
    for recipe in RECIPES:
        digest.update(repr(recipe).encode())
        for name in ("go.mod", "go.sum"):
            digest.update((recipe.directory / name).read_bytes())
    digest.update((_MODULES / "kwok.yaml").read_bytes())
    digest.update(repr(_KWOK_STAGES).encode())
    return digest.hexdigest()[:20]


def _stamp(go_mod: str, template: str) -> str:
    wanted = re.fullmatch(r"\{(?P<module>[^:}]+)(?P<minor>:minor)?\}", template)
    if wanted is None:
        return template
    # A `replace` comes last in the file and wins, as it does for Go.
    found = re.findall(rf"(?m)^.*{re.escape(wanted['module'])} (v\S+)", go_mod)
    if not found:
        raise ConfigurationError(f"go.mod does not require {wanted['module']}")
    version = str(found[-1])
    return version.split(".")[1] if wanted["minor"] else version


def _tell(line: str) -> None:
    sys.stderr.write(f"[steward] {line}\n")
    sys.stderr.flush()
