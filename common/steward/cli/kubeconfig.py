"""Which cluster, as kubectl finds it: --kubeconfig, the files in KUBECONFIG, ~/.kube/config, else the pod we are in."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from steward.cli.environment import Environment
from steward.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files to merge, as one path with separators, and the context in force; both None inside a pod."""

    files: Path | None
    context: str | None
    namespace: str = ""
    """The one that the context works in; empty where it names none."""


def choose(flag: str, context: str, environment: Environment) -> Chosen:
    """Where the connection settings are. Raise ConfigurationError, naming the file and the remedy."""
    if flag:
        if not Path(flag).expanduser().is_file():
            raise ConfigurationError(f"--kubeconfig {flag!r} is no file: check the path")
        return _merged([Path(flag).expanduser()], context)
    listed = [Path(entry).expanduser() for entry in environment.kubeconfig.split(os.pathsep) if entry]
    if listed:
        present = [path for path in listed if path.is_file()]
        if not present:
            raise ConfigurationError(
                f"KUBECONFIG names {environment.kubeconfig!r}, and no such file exists: correct it"
            )
        return _merged(present, context)
    usual = environment.home / ".kube" / "config" if environment.home else None
    if usual is not None and usual.is_file():
        return _merged([usual], context)
    if environment.in_cluster:
        return Chosen(None, None)
    raise ConfigurationError(
        "no cluster is configured: there is no --kubeconfig, no KUBECONFIG, no ~/.kube/config, and this is no pod; "
        "give one of them"
    )


def _merged(files: Sequence[Path], context: str) -> Chosen:
    """The context is decided here, because kubectl takes the first that any file names, and the library the last."""
    usable: list[Path] = []
    current = ""
    namespaces: dict[str, str] = {}
    for path in files:
        content = _read(path)
        if not content:
            continue
        usable.append(path)
        named = content.get("current-context")
        current = current or (named if isinstance(named, str) else "")
        namespaces = _namespaces(content) | namespaces
    where = os.pathsep.join(str(path) for path in files)
    wanted = context or current
    if not usable:
        raise ConfigurationError(f"kubeconfig {where!r} is empty: write a cluster, a user and a context into it")
    if not wanted:
        raise ConfigurationError(f"kubeconfig {where!r} has no current context: name one with --context")
    if wanted not in namespaces:
        known = ", ".join(sorted(namespaces)) or "none"
        raise ConfigurationError(f"kubeconfig {where!r} has no context {wanted!r}: it has {known}")
    return Chosen(Path(os.pathsep.join(str(path) for path in usable)), wanted, namespaces[wanted])


def _namespaces(content: dict[str, object]) -> dict[str, str]:
    """Each context, and the namespace that it works in."""
    entries = content.get("contexts")
    found: dict[str, str] = {}
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            context = entry.get("context")
            named = context.get("namespace") if isinstance(context, dict) else None
            found[str(entry.get("name"))] = named if isinstance(named, str) else ""
    return found


def _read(path: Path) -> dict[str, object]:
    try:
        content: object = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(f"kubeconfig {str(path)!r} cannot be read: {reason}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"kubeconfig {str(path)!r} is no kubeconfig: expected a mapping with clusters and contexts"
        )
    return content
