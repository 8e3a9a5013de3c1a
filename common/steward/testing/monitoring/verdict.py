"""What promtool and amtool say of rules, unit tests, configurations and routes."""

import asyncio
import json
import tempfile
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from steward.errors import ToolError
from steward.jsonvalue import JsonObject
from steward.testing.monitoring.tools import MonitoringTools
from steward.yamlvalue import render_yaml

_PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a tool was content, and all that it said."""

    ok: bool
    output: str


@dataclass(frozen=True, slots=True)
class Routing:
    """Which receivers an alert goes to, in the order of the routes; none if the tool was not content."""

    ok: bool
    output: str
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Promtool:
    """promtool of one generation."""

    tools: MonitoringTools

    async def check_rules(self, rules: str, *, lint: bool = False) -> Verdict:
        """Whether a rule file loads. With `lint`, two rules of the same name and labels are a fault too."""
        flags = ["--lint=all", "--lint-fatal"] if lint else ["--lint=none"]
        return await self._run({"rules.yaml": rules}, "check", "rules", *flags, "rules.yaml")

    async def test_rules(self, document: JsonObject, rules: str) -> Verdict:
        """Run the unit tests of a document, whose `rule_files` is filled in, against a rule file."""
        files = {"rules.yaml": rules, "tests.yaml": render_yaml({**document, "rule_files": ["rules.yaml"]})}
        return await self._run(files, "test", "rules", "tests.yaml")

    async def check_config(self, configuration: str, *, syntax_only: bool = False) -> Verdict:
        """Whether a configuration of Prometheus loads, with the files that it names unless `syntax_only`."""
        flags = ["--syntax-only"] if syntax_only else []
        return await self._run({"prometheus.yaml": configuration}, "check", "config", *flags, "prometheus.yaml")

    async def _run(self, files: Mapping[str, str], *arguments: str) -> Verdict:
        return await _verdict(self.tools.promtool, files, arguments)


@dataclass(frozen=True, slots=True)
class Amtool:
    """amtool of one generation."""

    tools: MonitoringTools

    async def check_config(self, configuration: str) -> Verdict:
        """Whether a configuration of Alertmanager loads. Files of secrets need not be there."""
        files = {"alertmanager.yaml": configuration}
        return await _verdict(self.tools.amtool, files, ("check-config", "alertmanager.yaml"))

    async def routes_test(self, configuration: str, labels: Mapping[str, str]) -> Routing:
        """Where an alert of these labels goes."""
        given = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in labels.items()]
        arguments = ("config", "routes", "test", "--config.file=alertmanager.yaml", *given)
        verdict = await _verdict(self.tools.amtool, {"alertmanager.yaml": configuration}, arguments)
        # The old one warns about its own flags first.
        lines = verdict.output.strip().splitlines()
        return Routing(verdict.ok, verdict.output, tuple(lines[-1].split(",")) if verdict.ok and lines else ())


async def _verdict(program: Path, files: Mapping[str, str], arguments: tuple[str, ...]) -> Verdict:
    with tempfile.TemporaryDirectory(prefix="steward-verdict-") as folder:
        for name, content in files.items():
            (Path(folder) / name).write_text(content)
        # HOME: amtool reads a configuration of its own from there.
        process = await asyncio.create_subprocess_exec(
            str(program), *arguments, cwd=folder, env={"HOME": folder}, stdin=PIPE, stdout=PIPE, stderr=STDOUT
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                output, _ = await process.communicate()
        except TimeoutError as late:
            raise ToolError(f"{program.name} {' '.join(arguments)} took more than {_PATIENCE:g} s") from late
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    if process.returncode is None or process.returncode < 0:
        raise ToolError(f"{program.name} {' '.join(arguments)} was killed by signal {process.returncode}")
    return Verdict(process.returncode == 0, output.decode(errors="replace"))
