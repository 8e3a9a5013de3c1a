"""What Linkerd asks of an extension, with the calls that Linkerd really made."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import pytest

from steward.jsonvalue import Json, rows, text
from steward.testing.command import EXECUTABLE, Command, StewardCluster

SHARED = Path(os.environ.get("STEWARD_SHARED") or Path(__file__).parents[4] / "shared")  # noqa: TID251
RECORDED = SHARED / "recordings" / "extension"


def _calls() -> list[tuple[str, list[str]]]:
    """Every distinct `check` call of the recordings."""
    found: dict[str, tuple[str, list[str]]] = {}
    for path in sorted(RECORDED.glob("*.argv.jsonl")):
        for line in path.read_text().splitlines():
            arguments = json.loads(line)["args"]
            found.setdefault(json.dumps(arguments), (path.name.removesuffix(".argv.jsonl"), arguments))
    return list(found.values())


async def test_metadata_is_answered_exactly(cli: Command) -> None:
    answer = await cli("_extension-metadata")
    assert (answer.code, answer.err) == (0, "")
    assert json.loads(answer.out) == {"name": EXECUTABLE.name, "checks": "always"}


async def test_metadata_imports_nothing_heavy(cli: Command) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-X",
        "importtime",
        str(EXECUTABLE),
        "_extension-metadata",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "HOME": str(cli.home)},
    )
    _, raw = await process.communicate()
    bare = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "importtime", "-c", "pass", stderr=asyncio.subprocess.PIPE
    )
    _, ordinary = await bare.communicate()
    extra = _modules(raw) - _modules(ordinary)
    assert {name for name in extra if name.startswith("steward")} == {"steward", "steward.cli", "steward.cli.__main__"}
    assert {name.partition(".")[0] for name in extra} <= sys.stdlib_module_names | {"steward"}
    assert not extra & {"asyncio", "ssl", "socket", "http", "inspect", "dataclasses", "logging"}


async def test_a_check_waits_for_nothing_that_only_alerts_needs(cli: Command) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import sys, steward.cli.app; print(*sys.modules)",
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath, "HOME": str(cli.home)},
    )
    out, _ = await process.communicate()
    loaded = set(out.decode().split())
    assert "steward.cli.check_command" in loaded
    assert not loaded & {"steward.cli.alerts.app", "steward.alerting.pack", "steward.monitoring.json_api", "httpx"}


@pytest.mark.skipif(not RECORDED.is_dir(), reason=f"no recordings in {RECORDED}: set STEWARD_SHARED to replay them")
@pytest.mark.parametrize("arguments", [pytest.param(call[1], id=call[0]) for call in _calls()])
@pytest.mark.usefixtures("nats")
async def test_a_recorded_call_is_answered_as_linkerd_needs_it(
    cli: Command, cluster: StewardCluster, arguments: list[str]
) -> None:
    admin = str(cluster.fake.kubeconfig())
    given = [
        re.sub(r"^--kubeconfig=.*", f"--kubeconfig={admin}", argument).replace("--context=default", "--context=fake")
        for argument in arguments
    ]
    if given[0] not in ("check", "_extension-metadata"):
        answer = await cli(*given)
        assert answer.code == 2, "a command that does not exist is a usage error"
        assert "No such command" in answer.err
        return
    answer = await cli(*given)
    document = json.loads(answer.out)
    if given[0] == "check":
        _assert_is_a_check_document(document)


async def test_json_is_one_document_also_when_there_is_no_cluster(cli: Command) -> None:
    answer = await cli("check", "--output=json", "--wait=10s")
    document = json.loads(answer.out)
    _assert_is_a_check_document(document)
    assert answer.code == 2
    assert "no cluster is configured" in text(rows(document, "categories")[0], "checks", 0, "error")


async def test_json_is_one_document_also_when_the_api_server_is_gone(cli: Command, cluster: StewardCluster) -> None:
    await cluster.fake.stop()
    answer = await cli("check", "--output=json", "--wait=0s")
    _assert_is_a_check_document(json.loads(answer.out))
    assert "cannot connect" in answer.out
    assert answer.code == 5


async def test_json_is_one_document_also_when_a_flag_is_wrong(cli: Command) -> None:
    answer = await cli("check", "--output=json", "--wait=soon")
    document = json.loads(answer.out)
    _assert_is_a_check_document(document)
    assert "'soon' is no duration" in answer.out
    assert answer.code == 2


@pytest.mark.usefixtures("cluster", "nats")
async def test_flags_of_a_newer_linkerd_are_ignored(cli: Command) -> None:
    answer = await cli("check", "--output=json", "--wait=0s", "--brand-new=[a]", "--other", "value", "-z")
    _assert_is_a_check_document(json.loads(answer.out))


def _assert_is_a_check_document(document: Json) -> None:
    assert isinstance(document, dict)
    assert set(document) == {"success", "categories"}
    checks = [check for category in rows(document, "categories") for check in rows(category, "checks")]
    assert checks
    assert all(text(category, "categoryName") for category in rows(document, "categories"))
    for check in checks:
        assert text(check, "description")
        assert text(check, "result") in ("success", "warning", "error")
        assert bool(text(check, "error")) is (text(check, "result") != "success"), "Linkerd counts only a filled error"
    failed = any(text(check, "result") == "error" for check in checks)
    assert document["success"] is not failed


def _modules(raw: bytes) -> set[str]:
    return {line.rpartition("|")[2].strip() for line in raw.decode().splitlines() if "|" in line} - {"imported package"}
