"""The library is imported in part, and whoever wants the whole of it still gets the whole of it."""

import subprocess
import sys

_PROGRAM = """
import sys
from steward.kube.lean import library
library()
models = [name for name in sys.modules if name.startswith("kubernetes_asyncio")]
assert not models, models
import kubernetes_asyncio
assert kubernetes_asyncio.client.V1Pod and kubernetes_asyncio.client.CoreV1Api
assert kubernetes_asyncio.config.load_kube_config
before = kubernetes_asyncio.client
library.cache_clear()
library()
assert sys.modules["kubernetes_asyncio.client"] is before
print("both")
"""
_LIGHT = """
import sys
import steward.kube.resources, steward.kube.errors
heavy = {"aiohttp", "kubernetes_asyncio", "yaml"} & set(sys.modules)
assert not heavy, heavy
print("light")
"""


def _run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_parts_leave_no_trace_and_the_whole_can_be_imported_beside_them() -> None:
    assert _run(_PROGRAM) == "both"


def test_handles_and_errors_can_be_imported_without_any_client() -> None:
    assert _run(_LIGHT) == "light"
