import subprocess
import sys
from pathlib import Path

import pytest

SOURCES = Path(__file__).parents[3] / "common"


@pytest.mark.parametrize("package", ["steward/proxy_api", "steward/otlp"])
def test_the_message_classes_are_those_of_the_definitions(package: str, tmp_path: Path) -> None:
    definitions = sorted(str(one.relative_to(SOURCES)) for one in SOURCES.glob(f"{package}/*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([*command, *definitions], cwd=SOURCES, check=True)
    made = {one.name: one.read_text() for one in (tmp_path / package).iterdir()}
    kept = {one.name: one.read_text() for one in SOURCES.glob(f"{package}/*_pb2.py*") if one.suffix != ".pyc"}
    assert made == kept, "run `make proto`"
