"""What a newcomer sees: the demonstration as a process, from its first line to Ctrl-C."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 240


async def _started(*arguments: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services",
        *arguments,
        cwd=ROOT,
        env={"PATH": os.defpath, "HOME": str(folder), "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )


def _left_behind(folder: Path) -> list[Path]:
    return list(folder.glob("steward-demo-*"))


async def test_the_newcomer_watches_a_release_become_upgraded_proxies(tmp_path: Path) -> None:
    process = await _started("--demo=simulated", "--once", folder=tmp_path)

    async with asyncio.timeout(PATIENCE):
        shown, errors = await process.communicate()

    text = shown.decode()
    assert process.returncode == 0, errors.decode()
    order = ["edge-26.8.3 is the head of edge", "upgrade-planned", "upgrade-started", "upgrade-finished"]
    assert [text.index(each) for each in order] == sorted(text.index(each) for each in order)
    assert "5 of 5 workloads are proven" in text
    assert "conformance-" not in text
    assert text.splitlines()[-1].startswith("         proxies")
    assert errors == b""
    assert _left_behind(tmp_path) == []


async def test_ctrl_c_ends_everything_cleanly(tmp_path: Path) -> None:
    process = await _started("--demo=simulated", folder=tmp_path)
    assert process.stdout is not None
    async with asyncio.timeout(PATIENCE):
        while "upgrade-started" not in (await process.stdout.readline()).decode():
            assert process.returncode is None

        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()

    assert process.returncode == 0
    assert b"nothing is left behind" in errors
    assert b"Traceback" not in errors
    assert _left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--demo=imaginary"], "invalid choice: 'imaginary'"),
        (["--demo=simulated", "--kubeconfig", __file__], "--demo brings its own cluster and NATS"),
        (["--once"], "--once belongs to --demo"),
        (["--kubeconfig", "/does/not/exist"], "there is no file '/does/not/exist'"),
        (["--no-such-flag"], "unrecognized arguments: --no-such-flag"),
    ],
)
async def test_a_wrong_flag_gets_its_own_answer(tmp_path: Path, arguments: list[str], said: str) -> None:
    process = await _started(*arguments, folder=tmp_path)

    _, errors = await process.communicate()

    assert process.returncode == 2
    assert said in errors.decode()


async def test_no_cluster_at_all_is_said_with_the_remedy(tmp_path: Path) -> None:
    process = await _started("--data", str(tmp_path / "data"), folder=tmp_path)

    async with asyncio.timeout(PATIENCE):
        _, errors = await process.communicate()

    assert process.returncode == 2, errors.decode()
    assert "kubeconfig" in errors.decode()
    assert "Traceback" not in errors.decode()
