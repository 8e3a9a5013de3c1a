"""Rules as files of a folder that Prometheus loads."""

from services.alerting.core.adoption import Contents, Verdict
from services.alerting.edges.files import beside_the_loop
from services.alerting.edges.folder import Folder
from steward.monitoring.json_api import Refused
from steward.monitoring.prometheus import Prometheus

SUFFIX = ".yaml"


class FileRules:
    """A carrier; the name of each content is the name of a file."""

    def __init__(self, live: Folder, kept: Folder, prometheus: Prometheus) -> None:
        self._live = live
        self._kept = kept
        self._prometheus = prometheus

    async def good(self) -> Contents:
        return await beside_the_loop(self._kept.read)

    async def show(self, contents: Contents) -> Verdict:
        await beside_the_loop(self._live.write, contents)
        try:
            await self._prometheus.reload()
        except Refused as refused:
            if not refused.judges_files:
                raise
            return refused.said
        return None

    async def put_back(self, contents: Contents) -> None:
        await beside_the_loop(self._live.write, contents)

    async def keep(self, contents: Contents) -> None:
        await beside_the_loop(self._kept.write, contents)
