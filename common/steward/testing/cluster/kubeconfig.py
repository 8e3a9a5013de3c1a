"""The one cluster and one user of a kubeconfig that the tests need, read and written."""

import base64
import json
import ssl
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from steward.errors import ConfigurationError
from steward.jsonvalue import JsonObject, dig, text
from steward.testing.cluster.pki import KeyPair


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """How to reach an API server, and as whom: by certificate, by token, or as nobody."""

    server: str
    authority: str = ""
    pair: KeyPair | None = None
    token: str = ""

    @classmethod
    def read(cls, path: Path, kubectl: Path) -> "Kubeconfig":
        """What the current context of `path` says. kubectl resolves the references to other files."""
        argv = [
            str(kubectl),
            "--kubeconfig",
            str(path),
            "config",
            "view",
            "--minify",
            "--raw",
            "--flatten",
            "-o",
            "json",
        ]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ConfigurationError(f"kubeconfig {path} cannot be used: {done.stderr.strip()}")
        parsed: JsonObject = json.loads(done.stdout)
        cluster, user = dig(parsed, "clusters", 0, "cluster"), dig(parsed, "users", 0, "user")
        certificate, key = _decoded(text(user, "client-certificate-data")), _decoded(text(user, "client-key-data"))
        token = text(user, "token")
        if not certificate and not token:
            raise ConfigurationError(
                f"kubeconfig {path} has neither a client certificate nor a token: "
                "write one with `kubectl create token` and `kubectl config set-credentials --token`"
            )
        pair = KeyPair(certificate, key) if certificate else None
        authority = _decoded(text(cluster, "certificate-authority-data"))
        return cls(text(cluster, "server").rstrip("/"), authority, pair, token)

    def as_token(self, token: str) -> "Kubeconfig":
        """The same server, as the owner of `token`."""
        return replace(self, pair=None, token=token)

    def by_way_of(self, server: str) -> "Kubeconfig":
        """The same user by way of a proxy that speaks plain HTTP on loopback."""
        return replace(self, server=server, authority="", pair=None)

    def write(self, path: Path) -> Path:
        """A kubeconfig file that any client reads."""
        cluster: JsonObject = {"server": self.server}
        if self.authority:
            cluster["certificate-authority-data"] = _encoded(self.authority)
        user: JsonObject = {}
        if self.pair:
            user["client-certificate-data"] = _encoded(self.pair.certificate)
            user["client-key-data"] = _encoded(self.pair.key)
        if self.token:
            user["token"] = self.token
        config: JsonObject = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        # Helm warns about a kubeconfig that others may read, and the warning ends up in its output.
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path

    def tls(self, *, with_certificate: bool = True) -> ssl.SSLContext:
        """A context that trusts this server and, unless told otherwise, shows the client certificate."""
        context = ssl.create_default_context(cadata=self.authority or None)
        if self.pair and with_certificate:
            # The ssl module loads key pairs from files only.
            with tempfile.TemporaryDirectory() as directory:
                certificate, key = self.pair.write(Path(directory), "client")
                context.load_cert_chain(certificate, key)
        return context


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode() if value else ""


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
