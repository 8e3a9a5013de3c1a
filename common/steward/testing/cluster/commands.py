"""helm, kubectl and `linkerd` as the tests use them to set the stage, with output that is shown when one fails."""

import json
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from steward.errors import ToolError
from steward.jsonvalue import Json, JsonObject, rows
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.charts import CONTROL_PLANE, CRDS

NAMESPACE = "linkerd"
_LOOKS = 50
_PATIENCE_SECONDS = 400


@dataclass(frozen=True, slots=True)
class Commands:
    """The three programs against one cluster, with an environment that holds nothing of the user's."""

    binaries: Binaries
    kubeconfig: Path
    home: Path
    """helm's cache and configuration go here."""

    def run(self, argv: Sequence[str], *, given: str = "", expect: int = 0) -> str:
        """Standard output of a program; any exit code but `expect` is an error with all that it said."""
        done = subprocess.run(
            list(argv),
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=_PATIENCE_SECONDS,
            env=self.environment(),
        )
        if done.returncode != expect:
            line = " ".join(argv)
            raise ToolError(
                f"`{line}` ended with {done.returncode}, not {expect}:\n{done.stderr}\n{done.stdout[-2000:]}"
            )
        return done.stdout

    def environment(self) -> dict[str, str]:
        """What a child process of the tests sees: this cluster, these binaries, nothing else."""
        return {
            "KUBECONFIG": str(self.kubeconfig),
            "HOME": str(self.home),
            "PATH": f"{self.binaries.directory}:/usr/local/bin:/usr/bin:/bin",
        }

    def kubectl(self, *arguments: str, given: str = "", expect: int = 0) -> str:
        """kubectl with `arguments`; `given` is its standard input."""
        return self.run([str(self.binaries.path("kubectl")), *arguments], given=given, expect=expect)

    def helm(self, *arguments: str, expect: int = 0) -> str:
        """helm with `arguments`."""
        return self.run([str(self.binaries.path("helm")), *arguments], expect=expect)

    def apply(self, objects: "Iterable[JsonObject] | str", *, server_side: bool = False) -> None:
        """`kubectl apply` of manifests or objects."""
        given = objects if isinstance(objects, str) else yaml.safe_dump_all(list(objects))
        self.kubectl("apply", *(["--server-side", "--force-conflicts"] if server_side else []), "-f", "-", given=given)

    def install_gateway_api(self) -> None:
        """The CRDs that Linkerd wants to find before it is installed."""
        # Server-side: HTTPRoute is too large for the annotation that a client-side apply leaves behind.
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(self.binaries.gateway_api))
        self.until_established("--all")

    def until_established(self, *which: str) -> None:
        """Wait until the API server serves the CRDs that `which` selects."""
        for _ in range(_LOOKS):
            try:
                self.kubectl("wait", "--for=condition=Established", "crd", *which, "--timeout=120s")
            except ToolError as error:
                # A definition that is a moment old has no conditions at all, which kubectl takes for a failure.
                if "accessor error" not in str(error):
                    raise
            else:
                return
        raise ToolError(f"the CRDs {' '.join(which)} have no conditions after {_LOOKS} looks at them")

    def has_gateway_api(self) -> bool:
        """Whether somebody installed the Gateway API already."""
        name = "crd/httproutes.gateway.networking.k8s.io"
        return bool(self.kubectl("get", name, "--ignore-not-found", "--output=name"))

    def remove_gateway_api(self) -> None:
        """Take the CRDs away again."""
        self.kubectl("delete", "--ignore-not-found", "-f", str(self.binaries.gateway_api))

    def helm_linkerd(self, charts: Path, values: Path, *, wait: bool = True) -> None:
        """Install or upgrade both of Linkerd's charts, as its documentation says."""
        common = ("--namespace", NAMESPACE, "--create-namespace", "--install", "--timeout", "180s")
        self.helm("upgrade", CRDS, str(charts / CRDS), *common)
        more = ("--reset-values", "--values", str(values), *(["--wait"] if wait else []))
        self.helm("upgrade", CONTROL_PLANE, str(charts / CONTROL_PLANE), *common, *more)

    def releases(self) -> list[JsonObject]:
        """helm's releases in Linkerd's namespace."""
        parsed: Json = json.loads(self.helm("list", "--namespace", NAMESPACE, "--all", "-o", "json"))
        return rows(parsed)
