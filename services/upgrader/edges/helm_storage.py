"""The Secrets in which Helm keeps its releases: who made a revision, and how one that will never end is ended.

Helm has no command that frees a release whose upgrade was cut off. What is done here is what Flux's helm-controller
does: the abandoned revision is marked failed, both in the payload and in the label by which Helm finds it, and only if
nobody changed it in between. The next `helm upgrade` then goes on from the last deployed revision.
"""

import base64
import binascii
import gzip
import json
import re
import zlib
from dataclasses import dataclass

from steward.errors import ToolError
from steward.jsonvalue import Json, JsonObject, table, text, texts
from steward.kube.client import Kube
from steward.kube.resources import SECRETS

STAMP = "steward.linkerd.io/operation"
ABANDONED = "Cut off during operation"
"""How the description of a revision begins that was freed."""
PENDING = frozenset({"pending-install", "pending-upgrade", "pending-rollback"})
_STAMP_VALUE = re.compile(r"(?P<operation>[A-Za-z0-9][A-Za-z0-9_-]{0,48})\.(?P<revision>[0-9]+)(?P<undoes>\.undoes)?")
_LARGEST_RELEASE = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Stamp:
    """What an upgrade of ours writes into the labels of the revision that it makes.

    Not the description: Helm writes that only when an upgrade has ended well, and calls each pending one "Preparing
    upgrade". And not the operation alone: Helm hands labels on to the next revision, whoever makes it.
    """

    operation: str
    revision: int
    undoes: bool = False
    """Helm was told to roll back by itself if the upgrade fails."""

    @classmethod
    def parse(cls, value: str) -> "Stamp | None":
        """The stamp in a label's value, or None where there is none."""
        found = _STAMP_VALUE.fullmatch(value)
        return None if found is None else cls(found["operation"], int(found["revision"]), bool(found["undoes"]))

    def __str__(self) -> str:
        return f"{self.operation}.{self.revision}{'.undoes' if self.undoes else ''}"


@dataclass(frozen=True, slots=True)
class RevisionRef:
    """One revision of one release."""

    namespace: str
    release: str
    revision: int

    @property
    def secret(self) -> str:
        """The name of the Secret that holds it."""
        return f"sh.helm.release.v1.{self.release}.v{self.revision}"

    def __str__(self) -> str:
        return f"revision {self.revision} of Helm release {self.namespace + '/' + self.release!r}"


@dataclass(frozen=True, slots=True)
class HelmStorage:
    """The Secret driver, Helm's default. With another one nothing is ever recognised as ours, and nothing unlocked."""

    kube: Kube

    async def operation_of(self, ref: RevisionRef) -> str | None:
        """The operation of ours that made this revision; None where somebody else did, or it cannot be told."""
        stamp = await self._stamp(ref)
        if stamp is not None and stamp.revision == ref.revision:
            return stamp.operation
        # The rollback that helm itself begins is stored with the labels of the revision it goes back to. The upgrade
        # that it undoes is the one before it.
        before = await self._stamp(RevisionRef(ref.namespace, ref.release, ref.revision - 1))
        if before is not None and before.undoes and before.revision == ref.revision - 1:
            return before.operation if await self._status(ref) == "pending-rollback" else None
        return None

    async def mark_failed(self, ref: RevisionRef, operation: str) -> bool:
        """Whether the pending revision was marked failed; False where it is pending no longer.

        Raise Conflict where somebody else wrote to it meanwhile, ToolError where it is not that operation's.
        """
        owner = await self.operation_of(ref)
        secret = await self.kube.find(SECRETS, ref.secret, ref.namespace)
        if secret is None or text(secret, "metadata", "labels", "status") not in PENDING:
            return False
        if owner != operation:
            made_by = f"operation {owner}" if owner else "somebody else"
            raise ToolError(
                f"{ref} was begun by {made_by}, not by operation {operation}: wait until that has ended, or if it "
                f"never will, run `helm rollback {ref.release} --namespace {ref.namespace}`"
            )
        release = _decode(ref, text(secret, "data", "release"))
        info = table(release, "info")
        info["status"] = "failed"
        info["description"] = f"{ABANDONED} {operation}; freed by linkerd-steward"
        table(secret, "data")["release"] = _encode(release)
        table(secret, "metadata", "labels")["status"] = "failed"
        table(secret, "metadata").pop("managedFields", None)
        # With the resource version of what was read: a helm that is alive after all makes this a Conflict.
        await self.kube.replace(SECRETS, secret)
        return True

    async def _stamp(self, ref: RevisionRef) -> Stamp | None:
        secret = await self.kube.find(SECRETS, ref.secret, ref.namespace)
        return Stamp.parse(texts(secret or {}, "metadata", "labels").get(STAMP, ""))

    async def _status(self, ref: RevisionRef) -> str:
        secret = await self.kube.find(SECRETS, ref.secret, ref.namespace)
        return text(secret, "metadata", "labels", "status")


def _decode(ref: RevisionRef, data: str) -> JsonObject:
    """The payload: JSON in gzip in Helm's base64 in the Secret's own base64."""
    try:
        packed = base64.b64decode(base64.b64decode(data, validate=True), validate=True)
        unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
        unpacked = unpacker.decompress(packed, _LARGEST_RELEASE)
        if unpacker.unconsumed_tail:
            raise ToolError(f"{ref} is larger than {_LARGEST_RELEASE} bytes and is not touched")
        parsed: Json = json.loads(unpacked)
    except (binascii.Error, zlib.error, ValueError) as error:
        # The error's own text may quote what it could not read.
        raise ToolError(f"{ref} cannot be read from Secret {ref.secret!r} ({type(error).__name__})") from None
    if not table(parsed, "info"):
        raise ToolError(f"{ref} cannot be read from Secret {ref.secret!r}: it has no `info`")
    return table(parsed)


def _encode(release: JsonObject) -> str:
    packed = gzip.compress(json.dumps(release, separators=(",", ":"), ensure_ascii=False).encode(), mtime=0)
    return base64.b64encode(base64.b64encode(packed)).decode()
