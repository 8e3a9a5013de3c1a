"""Statuses of policies and channels. Every write says which version it was made from; a lost race is tried later."""

from dataclasses import dataclass

from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import Conflict, NotFound
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, SECRETS
from steward.resources.alert_channel import AlertChannel, AlertChannelStatus
from steward.resources.alert_policy import AlertPolicy, AlertPolicyStatus


@dataclass(frozen=True, slots=True)
class Objects:
    """The custom resources of alerting, and the Secrets that channels name."""

    kube: Kube

    async def tell_policy(self, policy: AlertPolicy, status: AlertPolicyStatus) -> None:
        """Write the status where it differs."""
        if policy.status == status:
            return
        try:
            await self.kube.merge(
                ALERT_POLICIES,
                policy.metadata.name,
                {"status": status.to_json()},
                namespace=policy.metadata.namespace,
                subresource="status",
                resource_version=policy.metadata.resource_version,
            )
        except (Conflict, NotFound):
            return

    async def tell_channel(self, channel: AlertChannel, status: AlertChannelStatus) -> None:
        """Write the status where it differs."""
        if channel.status == status:
            return
        try:
            await self.kube.merge(
                ALERT_CHANNELS,
                channel.metadata.name,
                {"status": status.to_json()},
                namespace=channel.metadata.namespace,
                subresource="status",
                resource_version=channel.metadata.resource_version,
            )
        except (Conflict, NotFound):
            return

    async def secret(self, namespace: str, name: str) -> JsonObject | None:
        """A Secret, None where there is none."""
        return await self.kube.find(SECRETS, name, namespace)
