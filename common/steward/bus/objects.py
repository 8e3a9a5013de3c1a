"""The object store: blobs that are too large for a message, such as reports and evidence, in the format of NATS.

An object is its chunks, and then one message that names them: until that is there, nobody sees any of it.
"""

import base64
import hashlib
import json
from contextlib import aclosing
from dataclasses import dataclass

from steward.bus.connection import Connection
from steward.bus.errors import BusError
from steward.bus.publishing import MESSAGE_ID, Publisher
from steward.bus.reading import stored_messages
from steward.bus.streams import EVIDENCE, ObjectStoreSpec
from steward.jsonvalue import Json, JsonObject, text

_CHUNK = 128 * 1024
_LARGEST = 256 * 1024 * 1024


class ObjectMissing(BusError):
    """The store has no object of that name, or not all of it."""


@dataclass(frozen=True, slots=True)
class Objects:
    """One object store."""

    connection: Connection
    publisher: Publisher
    spec: ObjectStoreSpec = EVIDENCE

    async def put(self, name: str, data: bytes, *, description: str = "") -> None:
        """Store an object, in place of what had the name before."""
        if len(data) > _LARGEST:
            raise BusError(f"object {name!r} has {len(data) >> 20} MiB, {_LARGEST >> 20} MiB can be kept")
        mark = hashlib.sha256(name.encode() + data).hexdigest()[:22]
        chunks = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
        for number, chunk in enumerate(chunks):
            headers = {MESSAGE_ID: f"{mark}/{number}"}
            await self.publisher.store(f"$O.{self.spec.bucket}.C.{mark}", chunk, headers)
        about: dict[str, Json] = {
            "name": name,
            "description": description,
            "bucket": self.spec.bucket,
            "nuid": mark,
            "size": len(data),
            "chunks": len(chunks),
            "mtime": self.connection.clock.now().isoformat(),
            "digest": f"SHA-256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()}",
            "options": {"max_chunk_size": _CHUNK},
        }
        headers = {MESSAGE_ID: f"{mark}/about", "Nats-Rollup": "sub"}
        await self.publisher.store(self._about(name), json.dumps(about).encode(), headers)

    async def get(self, name: str) -> bytes:
        """The object; raises ObjectMissing."""
        about = await self._last(self._about(name))
        if about is None:
            raise ObjectMissing(f"{self.spec.bucket} has no object {name!r}")
        found: JsonObject = json.loads(about)
        parts: dict[int, bytes] = {}
        # The same object stored again has its chunks once or twice over: their number tells which they are.
        count = int(str(found.get("chunks", 0)))
        if count:
            async with aclosing(
                stored_messages(self.connection, self.spec.name, f"$O.{self.spec.bucket}.C.{text(found, 'nuid')}")
            ) as messages:
                async for message in messages:
                    parts[len(parts) % count] = message.data
        data = b"".join(parts[number] for number in sorted(parts))
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode()
        if text(found, "digest") != f"SHA-256={digest}":
            raise ObjectMissing(f"object {name!r} of {self.spec.bucket} is not whole: its digest is another one")
        return data

    async def _last(self, subject: str) -> bytes | None:
        last: bytes | None = None
        async with aclosing(stored_messages(self.connection, self.spec.name, subject)) as messages:
            async for message in messages:
                last = message.data
        return last

    def _about(self, name: str) -> str:
        return f"$O.{self.spec.bucket}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"
