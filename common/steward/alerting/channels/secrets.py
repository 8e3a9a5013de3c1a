"""The entries of Secrets that channels name, and the files in which Alertmanager finds them."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from steward.resources.alert_channel import SecretRef

SUFFIX = ".secret"
_LONGEST = 255
"""Bytes of a file's name. A namespace, a Secret and a key may have 63, 253 and 253."""


@dataclass(frozen=True, slots=True, order=True)
class ChannelName:
    """An AlertChannel."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"

    @property
    def object(self) -> str:
        """As events, metrics and refusals name it."""
        return f"AlertChannel/{self}"


@dataclass(frozen=True, slots=True)
class SecretFile:
    """An entry of a Secret in the channel's own namespace, and where Alertmanager reads it.

    Whoever writes the file leaves blanks and line ends around the value out: Alertmanager before 0.27 takes those of a
    password for a part of it.
    """

    channel: ChannelName
    secret: SecretRef
    path: str


def file_name(namespace: str, secret: SecretRef) -> str:
    """The file of one entry. A plus is in no name of Kubernetes, so no two entries share a file."""
    name = f"{namespace}+{secret.name}+{secret.key}{SUFFIX}"
    if len(name) <= _LONGEST:
        return name
    return f"{namespace}+{hashlib.sha256(name.encode()).hexdigest()}{SUFFIX}"


def secret_file(folder: str, channel: ChannelName, secret: SecretRef) -> SecretFile:
    """The entry, as a file of `folder`."""
    return SecretFile(channel, secret, f"{folder.rstrip('/')}/{file_name(channel.namespace, secret)}")


def paths(files: Iterable[SecretFile]) -> frozenset[str]:
    """Every file once, though several channels may name one entry."""
    return frozenset(each.path for each in files)
