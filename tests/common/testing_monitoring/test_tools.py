"""Where Prometheus and Alertmanager for tests come from, and what is said where they cannot be had."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from steward.testing.cluster import binaries as cluster
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.monitoring.debian import NotOffered
from steward.testing.monitoring.tools import TOOLBOX, Generation, MonitoringTools, monitoring_tools
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.toolbox import GoMissing

_ONE_TEST = """
def test_anything(monitoring_tools):
    assert monitoring_tools.prometheus.exists()
"""


def _bare(tmp_path: Path, **more: str) -> dict[str, str]:
    """An empty cache and a PATH where nothing is."""
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path), "PATH": str(nothing), **more}


def _python(environment: dict[str, str], *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path), **environment}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )


def test_without_go_the_message_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GoMissing, match=r"Prometheus and Alertmanager for tests are not in .*: install Go 1\.26"):
        monitoring_tools(ToolboxSettings.from_environment(_bare(tmp_path)))


def test_without_apt_the_old_pair_is_not_offered(tmp_path: Path) -> None:
    with pytest.raises(NotOffered, match="come from apt, and there is no apt-get on PATH"):
        monitoring_tools(ToolboxSettings.from_environment(_bare(tmp_path)), Generation.OLD)


def test_an_apt_that_does_not_know_the_old_pair_is_quoted(tmp_path: Path) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("there is no apt on this machine")
    (tmp_path / "lists" / "partial").mkdir(parents=True)
    (tmp_path / "apt.conf").write_text(f'Dir::State::Lists "{tmp_path}/lists";\nDir::Cache "{tmp_path}";\n')
    settings = ToolboxSettings.from_environment(
        _bare(tmp_path, APT_CONFIG=str(tmp_path / "apt.conf"))
        | {"PATH": ToolboxSettings.from_environment().environment["PATH"]}
    )

    with pytest.raises(NotOffered, match=r"`apt-get download prometheus=2\.42\.\* .*says: E: Unable to locate package"):
        monitoring_tools(settings, Generation.OLD, lambda _: None)


def test_a_test_on_a_machine_without_go_is_skipped_with_the_reason_and_counted(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(_ONE_TEST)

    done = _python(_bare(tmp_path), "-m", "pytest", "-rs", "-p", "no:cacheprovider", cwd=tmp_path)

    assert done.returncode == 0, done.stdout
    assert "1 skipped" in done.stdout
    assert "there is no `go` on PATH" in done.stdout


def test_a_test_on_a_ci_system_without_go_fails(tmp_path: Path) -> None:
    (tmp_path / "test_one.py").write_text(_ONE_TEST)

    done = _python(_bare(tmp_path, CI="true"), "-m", "pytest", "-p", "no:cacheprovider", cwd=tmp_path)

    assert done.returncode == 1, done.stdout
    assert "GoMissing" in done.stdout


@pytest.mark.parametrize(
    ("flags", "ci", "code"), [((), "", 1), (("--where-possible",), "", 0), (("--where-possible",), "true", 1)]
)
def test_only_outside_of_ci_a_build_may_be_impossible(
    tmp_path: Path, flags: tuple[str, ...], ci: str, code: int
) -> None:
    done = _python(_bare(tmp_path, CI=ci), "-m", "steward.testing.monitoring", "build", *flags, cwd=tmp_path)

    assert done.returncode == code
    assert "install Go 1.26 or newer" in done.stderr
    assert ("tests that need them are skipped" in done.stderr) is (code == 0)


def test_the_tools_share_neither_place_nor_lock_with_the_cluster(tmp_path: Path) -> None:
    settings = ClusterTestSettings.from_environment({"XDG_CACHE_HOME": str(tmp_path)})
    ours, theirs = TOOLBOX.shelf(settings).built.directory, cluster.cached(settings).directory

    assert ours.parent != theirs.parent
    assert ours.name != theirs.name


@pytest.mark.monitoring
@pytest.mark.parametrize(
    ("name", "version"),
    [("prometheus", "3.12.0"), ("promtool", "3.12.0"), ("alertmanager", "0.34.2"), ("amtool", "0.34.2")],
)
def test_the_current_tools_know_their_version(monitoring_tools: MonitoringTools, name: str, version: str) -> None:
    assert _version(monitoring_tools.directory / name).startswith(f"{name}, version {version} ")


@pytest.mark.monitoring
@pytest.mark.parametrize(
    ("name", "version"),
    [("prometheus", "2.42."), ("promtool", "2.42."), ("alertmanager", "0.25."), ("amtool", "0.25.")],
)
def test_the_old_tools_are_as_old_as_they_should_be(
    old_monitoring_tools: MonitoringTools, name: str, version: str
) -> None:
    assert _version(old_monitoring_tools.directory / name).startswith(f"{name}, version {version}")


def _version(program: Path) -> str:
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
