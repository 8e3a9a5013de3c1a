import subprocess
import sys
from pathlib import Path

SOURCES = Path(__file__).parents[3] / "common"


def test_the_message_classes_are_those_of_the_definitions(tmp_path: Path) -> None:
    definitions = sorted(str(one.relative_to(SOURCES)) for one in SOURCES.glob("steward/proxy_api/*.proto"))
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={tmp_path}", f"--pyi_out={tmp_path}"]
    subprocess.run([*command, *definitions], cwd=SOURCES, check=True)
    made = {one.name: one.read_text() for one in (tmp_path / "steward/proxy_api").iterdir()}
    kept = {one.name: one.read_text() for one in SOURCES.glob("steward/proxy_api/*_pb2.py*") if one.suffix != ".pyc"}
    assert made == kept, "run `make proto`"
