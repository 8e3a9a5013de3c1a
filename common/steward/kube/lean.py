"""The few parts of `kubernetes_asyncio` that Steward uses, without the thousand model classes it imports by default.

Importing the package the usual way costs 38 MB and, without bytecode, over two seconds; its configuration loaders and
its HTTP client need 5 MB of that. So they are imported below empty parent packages, and these are taken out of
`sys.modules` again: whoever imports the real package in the same process gets the real package.
"""

import importlib
import importlib.util
import sys
from collections.abc import Awaitable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Protocol, cast

from aiohttp import ClientSession

_PACKAGE = "kubernetes_asyncio"
_EMPTY_PARENTS = (_PACKAGE, f"{_PACKAGE}.client", f"{_PACKAGE}.client.models", f"{_PACKAGE}.config")
_IMPORT = Lock()


class Configuration(Protocol):
    """Where the cluster is and how to authenticate; tokens are renewed behind `auth_settings`."""

    host: str
    user_agent: str

    async def auth_settings(self) -> Mapping[str, Mapping[str, str]]: ...


class RestClient(Protocol):
    """The HTTP session with the TLS and proxy settings of a configuration."""

    pool_manager: ClientSession
    proxy: str | None
    proxy_headers: Mapping[str, str] | None
    server_hostname: str | None

    async def close(self) -> None: ...


class NewConfiguration(Protocol):
    def __call__(self) -> Configuration: ...


class NewRestClient(Protocol):
    def __call__(self, configuration: Configuration) -> RestClient: ...


class LoadKubeconfig(Protocol):
    def __call__(
        self, *, config_file: str, context: str | None, client_configuration: Configuration, persist_config: bool
    ) -> Awaitable[object]: ...


class LoadInCluster(Protocol):
    def __call__(self, client_configuration: Configuration) -> None: ...


@dataclass(frozen=True, slots=True)
class Library:
    """What is used of it."""

    new_configuration: NewConfiguration
    new_rest_client: NewRestClient
    load_kubeconfig: LoadKubeconfig
    load_in_cluster: LoadInCluster
    config_error: type[Exception]


@lru_cache(maxsize=1)
def library() -> Library:
    """Import once, on the first connection."""
    with _IMPORT, _without_models():
        configuration = importlib.import_module(f"{_PACKAGE}.client.configuration")
        rest = importlib.import_module(f"{_PACKAGE}.client.rest")
        # The configuration loaders take both names from the package, and only one of their helpers uses ApiClient.
        _parent("client").__dict__.update(Configuration=configuration.Configuration, ApiClient=object)
        kube_config = importlib.import_module(f"{_PACKAGE}.config.kube_config")
        in_cluster = importlib.import_module(f"{_PACKAGE}.config.incluster_config")
        errors = importlib.import_module(f"{_PACKAGE}.config.config_exception")
    return Library(
        new_configuration=cast("NewConfiguration", configuration.Configuration),
        new_rest_client=cast("NewRestClient", rest.RESTClientObject),
        load_kubeconfig=cast("LoadKubeconfig", kube_config.load_kube_config),
        load_in_cluster=cast("LoadInCluster", in_cluster.load_incluster_config),
        config_error=cast("type[Exception]", errors.ConfigException),
    )


def _parent(name: str) -> ModuleType:
    return sys.modules[f"{_PACKAGE}.{name}"]


@contextmanager
def _without_models() -> Iterator[None]:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("kubernetes_asyncio is missing: install linkerd-steward[service]", name=_PACKAGE)
    home = Path(spec.origin).parent
    ours = {name: module for name, module in sys.modules.items() if _belongs(name)}
    for name in ours:
        del sys.modules[name]
    for name in _EMPTY_PARENTS:
        parent = ModuleType(name)
        parent.__path__ = [str(home.joinpath(*name.split(".")[1:]))]
        sys.modules[name] = parent
    try:
        yield
    finally:
        for name in [name for name in sys.modules if _belongs(name)]:
            del sys.modules[name]
        sys.modules.update(ours)


def _belongs(name: str) -> bool:
    return name == _PACKAGE or name.startswith(f"{_PACKAGE}.")
