"""A small, synchronous client of the Kubernetes API: what a command that lives for half a second needs."""

import http.client
import json
import os
import ssl
import subprocess
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast
from urllib.parse import quote, urlencode, urlsplit

from yaml import YAMLError

from steward.jsonvalue import JsonObject, flag, rows, strings, table, text, texts
from steward.kube.resources import Resource
from steward.testing.linkerd.values import load

NO_CONFIGURATION = (
    "error configuring Kubernetes API client: invalid configuration: no configuration has been provided, "
    "try setting KUBERNETES_MASTER environment variable"
)
_PAGE = 500
_TIMEOUT = 30


class NotConfigured(Exception):
    """No cluster is named, or the kubeconfig cannot be read."""


class ApiRefused(Exception):
    """The API server's answer was an error, or it did not answer (`code` 0)."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Login:
    """How to reach one cluster and as whom."""

    server: str
    headers: tuple[tuple[str, str], ...] = ()
    tls: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line said about the cluster."""

    kubeconfig: str = ""
    context: str = ""
    user: str = ""
    groups: tuple[str, ...] = ()


class Cluster:
    """One API server over one kept connection."""

    def __init__(self, login: Login) -> None:
        self._login = login
        parts = urlsplit(login.server)
        self._prefix = parts.path.rstrip("/")
        host, port = parts.hostname or "", parts.port
        self._wire: http.client.HTTPConnection = (
            http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=login.tls)
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=_TIMEOUT)
        )

    def close(self) -> None:
        """Close the connection."""
        self._wire.close()

    @property
    def server(self) -> str:
        """Its address, for messages."""
        return self._login.server

    def get(self, path: str, query: Mapping[str, str] | None = None) -> JsonObject:
        """The answer to a GET; `ApiRefused` for anything but success."""
        return self._ask("GET", path, query)

    def find(self, resource: Resource, name: str, namespace: str = "") -> JsonObject | None:
        """The object, or None where there is none."""
        try:
            return self.get(resource.path(namespace, name))
        except ApiRefused as refused:
            if refused.code == 404:
                return None
            raise

    def list(self, resource: Resource, namespace: str = "", labels: str = "") -> list[JsonObject]:
        """All objects, page after page; none where the resource is not served."""
        query = {"limit": str(_PAGE)} | ({"labelSelector": labels} if labels else {})
        found: list[JsonObject] = []
        while True:
            try:
                page = self.get(resource.path(namespace), query)
            except ApiRefused as refused:
                if refused.code == 404:
                    return found
                raise
            for item in rows(page, "items"):
                item.setdefault("apiVersion", resource.api_version)
                item.setdefault("kind", resource.kind)
                found.append(item)
            token = text(page, "metadata", "continue")
            if not token:
                return found
            query["continue"] = token

    def would_create(self, resource: Resource, body: JsonObject, namespace: str = "") -> str:
        """Why the API server would not let `body` be created, or "" where it would."""
        try:
            self._ask("POST", resource.path(namespace), {"dryRun": "All"}, body)
        except ApiRefused as refused:
            return str(refused)
        return ""

    def post(self, path: str, body: JsonObject) -> JsonObject:
        """The answer to a POST."""
        return self._ask("POST", path, None, body)

    def _ask(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: JsonObject | None = None
    ) -> JsonObject:
        target = self._prefix + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        try:
            self._send(method, target, b"" if body is None else json.dumps(body).encode())
            answer = self._wire.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._wire.close()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise ApiRefused(f'Get "{self.server}{path}": {reason.lower()}') from error
        try:
            parsed = json.loads(content)
        except ValueError:
            parsed = {"message": content.decode(errors="replace").strip()}
        document = cast("JsonObject", parsed) if isinstance(parsed, dict) else {}
        if answer.status >= 300:
            raise ApiRefused(text(document, "message") or f"HTTP {answer.status}", answer.status)
        return document

    def _send(self, method: str, target: str, body: bytes) -> None:
        self._wire.putrequest(method, target)
        for name, value in (("Accept", "application/json"), *self._login.headers):
            self._wire.putheader(name, value)
        if body:
            self._wire.putheader("Content-Type", "application/json")
            self._wire.putheader("Content-Length", str(len(body)))
        self._wire.endheaders(body or None)


def login(asked: Asked) -> Login:
    """From the flags, KUBECONFIG or the file in the home directory; `NotConfigured` where none leads anywhere."""
    impersonation = [("Impersonate-User", asked.user)] if asked.user else []
    impersonation += [("Impersonate-Group", group) for group in asked.groups]
    path = _kubeconfig_path(asked.kubeconfig)
    if path is None:
        raise NotConfigured(NO_CONFIGURATION)
    try:
        return _login(load(path.read_text(encoding="utf-8")), asked, path.parent, impersonation)
    except (OSError, ValueError, YAMLError) as error:
        raise NotConfigured(f"error configuring Kubernetes API client: {error}") from error


def _login(config: JsonObject, asked: Asked, home: Path, impersonation: list[tuple[str, str]]) -> Login:
    context_name = asked.context or text(config, "current-context")
    context = _entry(config, "contexts", context_name, "context")
    if not context:
        raise NotConfigured(f'error configuring Kubernetes API client: context "{context_name}" does not exist')
    cluster = _entry(config, "clusters", text(context, "cluster"), "cluster")
    user = _with_exec(_entry(config, "users", text(context, "user"), "user"))
    server = text(cluster, "server")
    if not server:
        raise NotConfigured(NO_CONFIGURATION)
    secure = server.startswith("https")
    return Login(
        server.rstrip("/"),
        (*_credentials(user), *impersonation),
        _tls(cluster, user, home) if secure else None,
    )


def _kubeconfig_path(given: str) -> Path | None:
    if given:
        return Path(given)
    named = [Path(one) for one in os.environ.get("KUBECONFIG", "").split(os.pathsep) if one]
    home = Path.home() / ".kube" / "config"
    return next((one for one in [*named, home] if one.exists()), None)


def _entry(config: JsonObject, kind: str, name: str, member: str) -> JsonObject:
    return next((table(one, member) for one in rows(config, kind) if text(one, "name") == name), {})


def _with_exec(user: JsonObject) -> JsonObject:
    """The user's entry, with what its credential plugin says put in."""
    plugin = table(user, "exec")
    if not plugin:
        return user
    environment = dict(os.environ) | {text(one, "name"): text(one, "value") for one in rows(plugin, "env")}
    command = [text(plugin, "command"), *strings(plugin, "args")]
    try:
        said = subprocess.run(command, env=environment, capture_output=True, check=True, timeout=_TIMEOUT).stdout
        status = texts(json.loads(said), "status")
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise NotConfigured(f"error configuring Kubernetes API client: credential plugin: {error}") from error
    found: JsonObject = {"token": status.get("token", "")}
    for pem, key in (("clientCertificateData", "client-certificate-data"), ("clientKeyData", "client-key-data")):
        if pem in status:
            found[f"{key}-pem"] = status[pem]
    return {**user, **found}


def _credentials(user: JsonObject) -> list[tuple[str, str]]:
    token = text(user, "token")
    if not token and text(user, "tokenFile"):
        token = Path(text(user, "tokenFile")).read_text(encoding="utf-8").strip()
    return [("Authorization", f"Bearer {token}")] if token else []


def _tls(cluster: JsonObject, user: JsonObject, home: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=_pem(cluster, "certificate-authority", home) or None)
    if flag(cluster, "insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", home), _pem(user, "client-key", home)
    if certificate and key:
        # The ssl module reads client certificates from files only.
        with TemporaryDirectory() as folder:
            both = Path(folder) / "client.pem"
            both.touch(mode=0o600)
            both.write_text(certificate + "\n" + key, encoding="utf-8")
            context.load_cert_chain(both)
    return context


def _pem(entry: JsonObject, name: str, home: Path) -> str:
    if text(entry, f"{name}-data-pem"):
        return text(entry, f"{name}-data-pem")
    if text(entry, f"{name}-data"):
        return b64decode(text(entry, f"{name}-data")).decode()
    return (home / text(entry, name)).read_text(encoding="utf-8") if text(entry, name) else ""
