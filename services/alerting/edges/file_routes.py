"""Channels as one configuration file that Alertmanager loads."""

from collections.abc import Callable

from services.alerting.core.adoption import Contents, Verdict
from services.alerting.edges.files import beside_the_loop
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
        kept = await beside_the_loop(self._kept.read)
        return {name.removesuffix(SUFFIX): content for name, content in kept.items()}

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
        def write() -> None:
            self._live.write({CONFIGURATION: self._rendering(contents)})

        await beside_the_loop(write)

    async def keep(self, contents: Contents) -> None:
        files = {f"{name}{SUFFIX}": content for name, content in contents.items()}
        await beside_the_loop(self._kept.write, files)
