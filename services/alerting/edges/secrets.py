"""The secrets of channels, as files that Alertmanager reads: taken from their Secrets, told to nobody else."""

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.alerting.core.units import ChannelUnit, Refusal
from services.alerting.edges.files import beside_the_loop
from services.alerting.edges.folder import Folder
from services.alerting.edges.objects import Objects
from steward.alerting.channels.secrets import file_name
from steward.jsonvalue import text
from steward.kube.errors import Forbidden
from steward.resources.alert_channel import SecretRef

Entry = tuple[str, SecretRef]
"""A namespace, and what is named in it."""


@dataclass(slots=True)
class ChannelSecrets:
    """Writes exactly the entries that channels name. Secrets are read by name, so nobody says when one changes."""

    objects: Objects
    folder: Folder
    _found: dict[Entry, str | Refusal] = field(default_factory=dict, repr=False)

    async def laid_out(self, units: Iterable[ChannelUnit]) -> dict[str, Refusal]:
        """Bring the files up to date; channel → why it cannot be served. Raises KubeError where nobody can tell."""
        files: dict[str, str] = {}
        refused: dict[str, Refusal] = {}
        looked: dict[Entry, str | Refusal] = {}
        kept = await beside_the_loop(self.folder.read)
        for unit in units:
            namespace = unit.channel.metadata.namespace
            for entry in unit.secrets:
                name = file_name(namespace, entry)
                found = looked[namespace, entry] = await self._entry(namespace, entry)
                if isinstance(found, Refusal):
                    refused[unit.name] = found
                    if name in kept:
                        # What is in force goes on with the secret that it had.
                        files[name] = kept[name]
                else:
                    files[name] = found
        await beside_the_loop(self.folder.write, files)
        self._found = looked
        return refused

    async def moved(self) -> bool:
        """Whether an entry is otherwise than when it was last laid out. Raises KubeError where nobody can tell."""
        for (namespace, entry), before in tuple(self._found.items()):
            if await self._entry(namespace, entry) != before:
                return True
        return False

    async def _entry(self, namespace: str, entry: SecretRef) -> str | Refusal:
        where, key = f"Secret {namespace}/{entry.name}", entry.key
        try:
            found = await self.objects.secret(namespace, entry.name)
        except Forbidden:
            message = (
                f"{where} may not be read: bind the Role that lets alerting get it, see deploy/README.md, or put the "
                "channel into Steward's own namespace"
            )
            return Refusal("SecretForbidden", message)
        if found is None:
            return Refusal("SecretMissing", f"{where} does not exist: make it, with the entry {key!r}")
        encoded = text(found, "data", key)
        try:
            value = base64.b64decode(encoded, validate=True).decode().strip()
        except (binascii.Error, UnicodeDecodeError):
            return Refusal("SecretUnreadable", f"{where}: the entry {key!r} is no text")
        return value or Refusal("SecretMissing", f"{where} has nothing under {key!r}")
