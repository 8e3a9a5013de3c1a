"""Evidence and reports in the object store."""

from dataclasses import dataclass

from steward.service.patient_bus import EventBus


@dataclass(frozen=True, slots=True)
class StoredEvidence:
    """The object store steward-evidence."""

    bus: EventBus

    async def put(self, name: str, data: bytes) -> None:
        """Keep a blob."""
        await self.bus.put_object(name, data, description="conformance")
