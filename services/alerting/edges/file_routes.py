"""Channels as one configuration file that Alertmanager loads."""

from collections.abc import Callable

from services.alerting.core.adoption import Contents, Verdict
from services.alerting.edges.folder import Folder
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import Refused

CONFIGURATION = "alertmanager.yml"
SUFFIX = ".yaml"

Rendering = Callable[[Contents], str]
"""All channels, as they are kept, as one configuration."""


class FileRoutes:
    """A carrier; the name of each content is that of a channel, the content is the channel itself."""

    def __init__(self, live: Folder, kept: Folder, alertmanager: Alertmanager, rendering: Rendering) -> None:
        self._live = live
        self._kept = kept
        self._alertmanager = alertmanager
        self._rendering = rendering

    async def good(self) -> Contents:
        return {name.removesuffix(SUFFIX): content for name, content in self._kept.read().items()}

    async def show(self, contents: Contents) -> Verdict:
        await self.put_back(contents)
        try:
            await self._alertmanager.reload()
        except Refused as refused:
            if not refused.judges_files:
                raise
            return refused.said
        return None

    async def put_back(self, contents: Contents) -> None:
        self._live.write({CONFIGURATION: self._rendering(contents)})

    async def keep(self, contents: Contents) -> None:
        self._kept.write({f"{name}{SUFFIX}": content for name, content in contents.items()})
