"""The other commands of the stand-in `linkerd`, against recorded output and against a cluster that follows them."""

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest
import yaml

from steward.jsonvalue import JsonObject, dig, text, texts
from steward.kube.resources import CONFIG_MAPS
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.executable import write_cli
from steward.testing.linkerd.mesh import SimulatedMesh
from steward.testing.linkerd.objects import identity, opened
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import Method, load, load_all
from tests.common.testing_linkerd import recorded
from tests.common.testing_linkerd.command_line import Said, cluster_of, linkerd, steady, told

V219, OLD, NEW = recorded.VERSIONS

EXTENSION = """#!{python}
import json, os, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
name = {name!r}
if sys.argv[1:2] == ["_extension-metadata"]:
    said = "linkerd-other" if {mode!r} == "wrongname" else name
    print(json.dumps({{"name": said, "checks": "never" if {mode!r} == "never" else "always"}}))
    sys.exit(0)
if sys.argv[1] != "check":
    print("steward ran", sys.argv[1:])
    sys.exit(7 if "--fail" in sys.argv else 0)
checks = [{{"description": "steward API is reachable", "result": "success"}},
          {{"description": "upgrade policy is valid", "result": "warning", "error": "window never opens",
            "hint": "https://example.invalid/checks#window"}},
          {{"description": "no stale proxies", "result": "success"}}]
if {mode!r} == "fail":
    checks[2] |= {{"result": "error", "error": "3 pods stale", "hint": "https://example.invalid/checks#stale"}}
if {mode!r} == "silentexit2":
    checks = [{{"description": "ok but exit 2", "result": "success"}}]
if {mode!r} == "crash":
    sys.exit("boom")
if {mode!r} == "badjson":
    print("not json")
elif {mode!r} != "empty":
    print(json.dumps({{"success": True, "categories": [{{"categoryName": name, "checks": checks}}]}}))
sys.exit(2 if {mode!r} == "silentexit2" else 0)
"""


def extension(folder: Path, mode: str = "ok", name: str = "linkerd-steward") -> Path:
    """An extension that behaves as the one of the recordings did; returns where it notes its calls."""
    log = folder / f"{name}.calls"
    path = folder / name
    path.write_text(EXTENSION.format(python=sys.executable, log=str(log), mode=mode, name=name))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return log


def calls(log: Path) -> list[list[str]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def recorded_calls(name: str) -> list[list[str]]:
    lines = recorded.path("recordings", "extension", f"{name}.argv.jsonl").read_text().splitlines()
    return [json.loads(line)["args"] for line in lines]


# version


@pytest.mark.parametrize(
    ("file", "cli", "arguments"),
    [
        ("client.txt", NEW, "--client"),
        ("client-short.txt", NEW, "--client --short"),
        ("not-installed.txt", NEW, ""),
    ],
)
async def test_the_version_without_a_control_plane(
    file: str, cli: str, arguments: str, simulated_mesh: SimulatedMesh
) -> None:
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(cli, "version", *arguments.split())
    expected = recorded.path("recordings", "version", file).read_text()
    assert said == Said(0, expected if expected.endswith("\n") else expected + "\n", "")


async def test_versions_and_the_histogram_of_proxies(simulated_mesh: SimulatedMesh) -> None:
    mesh = simulated_mesh
    await mesh.install(OLD)
    mesh.workload("Deployment", "app1", "web", 3)
    await mesh.settled()
    with cluster_of(mesh.kubernetes.kubeconfig()):
        matching, skewed = await linkerd(OLD, "version"), await linkerd(NEW, "version", "--proxy")
        await mesh.upgrade(NEW)
        after = await linkerd(NEW, "version", "--proxy")

    def lines(name: str) -> list[str]:
        return recorded.path("recordings", "version", f"{name}.txt").read_text().rstrip().splitlines()

    assert matching.out.splitlines() == lines("matching")
    assert skewed.out.splitlines() == [*lines("skew-newer-cli")[:3], f"\t{OLD} (6 pods)"]
    assert after.out.splitlines() == [*lines("after-cp-upgrade")[:3], f"\t{OLD} (3 pods)", f"\t{NEW} (3 pods)"]


async def test_there_is_no_version_in_json() -> None:
    with cluster_of(None):
        said = await linkerd(NEW, "version", "-o", "json")
    expected = recorded.path("recordings", "version", "unsupported-json-flag.txt.stderr").read_text()
    assert said == Said(1, "", expected)


async def test_a_missing_configuration_is_an_unavailable_server(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(NEW)
    simulated_mesh.delete(CONFIG_MAPS, "linkerd-config", "linkerd")
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "version")
    expected = recorded.path("recordings", "version", "fault-missing-linkerd-config.txt").read_text()
    assert said.out.strip() == expected.strip()


# install, upgrade


async def test_what_install_prints_becomes_a_running_control_plane(simulated_mesh: SimulatedMesh) -> None:
    mesh = simulated_mesh
    mesh.gateway_api()
    with cluster_of(mesh.kubernetes.kubeconfig()):
        refused = await linkerd(OLD, "install")
        assert "Linkerd CRDs must be installed first" in refused.err
        assert refused.code == 1
        mesh.apply(load_all((await linkerd(OLD, "install", "--crds")).out), manager="kubectl")
        mesh.apply(load_all((await linkerd(OLD, "install", "--set", "proxy.logLevel=debug")).out), manager="kubectl")
        await mesh.settled()
        assert mesh.proxy_versions("linkerd") == {OLD: 3}
        assert (await linkerd(OLD, "check", "--wait", "0s")).code == 0
        again = await linkerd(OLD, "install")
    assert "existing installation" in again.err
    assert again.code == 1
    config = mesh.cluster.get(CONFIG_MAPS, "linkerd-config", "linkerd")
    assert dig(load(text(config, "data", "values")), "proxy", "logLevel") == "debug"


async def test_what_upgrade_prints_upgrades_and_keeps_trust(simulated_mesh: SimulatedMesh) -> None:
    mesh = simulated_mesh
    trust = await mesh.install(OLD, overrides={"proxy": {"logLevel": "debug"}})
    mesh.workload("Deployment", "app1", "web", 2)
    await mesh.settled()
    with cluster_of(mesh.kubernetes.kubeconfig()):
        mesh.apply(load_all((await linkerd(NEW, "upgrade", "--crds")).out), manager="kubectl")
        first, second = await linkerd(NEW, "upgrade"), await linkerd(NEW, "upgrade")
        mesh.apply(load_all(second.out), manager="kubectl")
        await mesh.settled()
        assert (await linkerd(NEW, "check", "--wait", "0s")).code == 0
    assert mesh.proxy_versions("linkerd") == {NEW: 3}
    roots = mesh.cluster.get(CONFIG_MAPS, "linkerd-identity-trust-roots", "linkerd")
    assert text(roots, "data", "ca-bundle.crt") == trust.anchors
    values = load(text(mesh.cluster.get(CONFIG_MAPS, "linkerd-config", "linkerd"), "data", "values"))
    assert dig(values, "proxy", "logLevel") == "debug"
    one, other = ({identity(thing): thing for thing in load_all(said.out)} for said in (first, second))
    changed = {key[2] for key in one if one[key] != other[key]}
    assert changed == {
        "linkerd-proxy-injector-k8s-tls",
        "linkerd-sp-validator-k8s-tls",
        "linkerd-policy-validator-k8s-tls",
        "linkerd-proxy-injector-webhook-config",
        "linkerd-sp-validator-webhook-config",
        "linkerd-policy-validator-webhook-config",
        "linkerd-proxy-injector",
        "linkerd-destination",
    }


async def test_an_installation_by_helm_is_not_upgraded_by_the_cli(simulated_mesh: SimulatedMesh) -> None:
    await simulated_mesh.install(OLD, method=Method.HELM)
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "upgrade")
        pruned = await linkerd(NEW, "prune")
    expected = recorded.path("recordings", "helm", "cli-upgrade-on-helm-install.txt.stderr").read_text()
    assert said.err.strip() == pruned.err.strip() == expected.strip()
    assert (said.code, said.out) == (1, "")


async def test_an_issuer_that_proxies_do_not_trust_is_refused(simulated_mesh: SimulatedMesh, tmp_path: Path) -> None:
    mesh = simulated_mesh
    await mesh.install(OLD)
    mesh.workload("Deployment", "app1", "web", 1)
    await mesh.settled()
    foreign = Trust.for_helm(mesh.kubernetes.clock.now())
    files = {
        "trust-anchors": foreign.anchors,
        "issuer-certificate": foreign.issuer.certificate,
        "issuer-key": foreign.issuer.key,
    }
    arguments = []
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        arguments += [f"--identity-{name}-file", str(tmp_path / name)]
    with cluster_of(mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "upgrade", *arguments)
        forced = await linkerd(NEW, "upgrade", "--force", *arguments)
    assert "does not validate against the trust anchors" in said.err
    assert "app1/web-" in said.err
    assert said.code == 1
    issuer = next(one for one in load_all(forced.out) if text(one, "metadata", "name") == "linkerd-identity-issuer")
    assert opened(issuer)["crt.pem"] == foreign.issuer.certificate


async def test_manifests_are_printed_as_json_too(simulated_mesh: SimulatedMesh) -> None:
    with cluster_of(simulated_mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "install", "--ignore-cluster", "-o", "json")
    assert len(said.documents) == 42


async def test_real_manifests_are_completed(simulated_mesh: SimulatedMesh) -> None:
    manifests = recorded.path("linkerd")
    mesh = simulated_mesh
    mesh.gateway_api()
    with cluster_of(mesh.kubernetes.kubeconfig()):
        for command in ("install", "upgrade"):
            version = OLD if command == "install" else NEW
            for part in ("--crds", "--ha=false"):
                said = await linkerd(version, command, part, manifests=str(manifests))
                assert said.err == ""
                mesh.apply(load_all(said.out), manager="kubectl")
                await mesh.settled()
            checked = await linkerd(version, "check", "--wait", "0s", "-o", "short")
            assert checked.out == "Status check results are √\n"
        mesh.workload("Deployment", "app1", "web", 1)
        await mesh.settled()
    assert mesh.proxy_versions("linkerd") == {NEW: 3}
    assert mesh.proxy_versions("app1") == {NEW: 1}


# prune, uninstall, inject


async def test_prune_lists_what_carries_the_label_and_is_not_rendered(simulated_mesh: SimulatedMesh) -> None:
    mesh = simulated_mesh
    await mesh.install(OLD)
    with cluster_of(mesh.kubernetes.kubeconfig()):
        nothing = await linkerd(NEW, "prune")
        label: JsonObject = {"linkerd.io/control-plane-ns": "linkerd"}
        mesh.cluster.create(CONFIG_MAPS, {"metadata": {"name": "leftover", "labels": label}}, "linkerd")
        leftover = await linkerd(OLD, "prune")
    assert nothing == Said(0, "", "")
    expected = recorded.path("recordings", "prune", "leftover.yaml").read_text()
    assert leftover.out.strip() == expected.strip()


async def test_uninstall_refuses_while_pods_are_meshed(simulated_mesh: SimulatedMesh) -> None:
    mesh = simulated_mesh
    await mesh.install(NEW)
    mesh.workload("Deployment", "app1", "web", 2)
    await mesh.settled()
    with cluster_of(mesh.kubernetes.kubeconfig()):
        said = await linkerd(NEW, "uninstall")
        forced = await linkerd(NEW, "uninstall", "--force")
    expected = recorded.path("recordings", "misc", "uninstall.refused.txt").read_text()
    assert steady(said.err).strip() == steady(expected).strip()
    assert said.code == 1
    listed = recorded.path("recordings", "misc", "uninstall.force.kinds.txt").read_text().splitlines()
    names = {tuple(line.split("kind: ")[1].split("\t  name: ")) for line in listed}
    assert {(text(one, "kind"), text(one, "metadata", "name")) for one in load_all(forced.out)} == names


async def test_inject_annotates_and_reports(tmp_path: Path) -> None:
    given: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "x"},
        "spec": {
            "selector": {"matchLabels": {"a": "x"}},
            "template": {
                "metadata": {"labels": {"a": "x"}},
                "spec": {"containers": [{"image": "example/c:1", "name": "c"}]},
            },
        },
    }
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(given))
    said = await linkerd(NEW, "inject", str(tmp_path / "x.yaml"))
    assert said.out.strip() == recorded.path("recordings", "misc", "inject-report.yaml").read_text().strip()
    assert said.err == recorded.path("recordings", "misc", "inject-report.yaml.stderr").read_text()


# extensions


@pytest.mark.parametrize("mode", ["ok", "fail", "badjson", "empty", "crash", "never", "wrongname", "silentexit2"])
async def test_an_extension_is_called_and_believed_as_recorded(
    mode: str, simulated_mesh: SimulatedMesh, tmp_path: Path
) -> None:
    log = extension(tmp_path, mode)
    await simulated_mesh.install(NEW)
    with cluster_of(simulated_mesh.kubernetes.kubeconfig(), [tmp_path]):
        said = await linkerd(NEW, "check", "-o", "json", "--wait", "10s")
    expected = recorded.stream(recorded.path("recordings", "extension", f"check-{mode}.json").read_text())
    assert told(said.documents) == told(expected)
    assert said.code == int(mode in ("fail", "badjson", "empty", "crash"))
    assert calls(log) == recorded_calls(f"check-{mode}")


@pytest.mark.parametrize(
    ("file", "mode", "arguments"),
    [
        ("check-ok.table.txt", "ok", ()),
        ("check-ok.short.txt", "ok", ("-o", "short")),
        ("check-fail.table.txt", "fail", ()),
        ("check-badjson.table.txt", "badjson", ()),
    ],
)
async def test_the_text_about_an_extension_is_as_recorded(
    file: str, mode: str, arguments: tuple[str, ...], simulated_mesh: SimulatedMesh, tmp_path: Path
) -> None:
    extension(tmp_path, mode)
    await simulated_mesh.install(NEW)
    with cluster_of(simulated_mesh.kubernetes.kubeconfig(), [tmp_path]):
        said = await linkerd(NEW, "check", "--wait", "10s", *arguments)
    assert said.out.strip() == recorded.path("recordings", "extension", file).read_text().strip()


async def test_an_extension_in_the_cluster_without_an_executable_is_a_warning(
    simulated_mesh: SimulatedMesh, tmp_path: Path
) -> None:
    extension(tmp_path)
    await simulated_mesh.install(NEW)
    documents = {}
    with cluster_of(simulated_mesh.kubernetes.kubeconfig(), [tmp_path]):
        for name, file in (("third", "missing-executable"), ("third2", "duplicate-extension-ns")):
            namespace = simulated_mesh.namespace(name, inject="")
            labels: JsonObject = {**texts(namespace, "metadata", "labels"), "linkerd.io/extension": "thirdparty"}
            simulated_mesh.apply(
                [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}],
                manager="kubectl",
            )
            said = await linkerd(NEW, "check", "-o", "json", "--wait", "10s")
            documents[file] = told(said.documents)
            assert said.code == 0
    for file, found in documents.items():
        expected = recorded.stream(recorded.path("recordings", "extension", f"check-{file}.json").read_text())
        assert found == told(expected)


async def test_flags_are_handed_on_to_extensions(simulated_mesh: SimulatedMesh, tmp_path: Path) -> None:
    log = extension(tmp_path)
    await simulated_mesh.install(NEW)
    kubeconfig = str(simulated_mesh.kubernetes.kubeconfig())
    flags = (
        f"-L linkerd --cni-namespace linkerd-cni --context fake --kubeconfig {kubeconfig} "
        "--as admin --as-group system:masters --verbose --proxy -n app1"
    )
    with cluster_of(None, [tmp_path]):
        await linkerd(NEW, "check", "-o", "json", "--wait", "10s", *flags.split())
    expected = [
        [
            argument.replace("/cluster/admin.kubeconfig", kubeconfig).replace("context=default", "context=fake")
            for argument in call
        ]
        for call in recorded_calls("check-all-flags")
    ]
    assert calls(log) == expected


async def test_an_unknown_command_is_an_extension_on_the_path(
    simulated_mesh: SimulatedMesh, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = extension(tmp_path)
    arguments = ("status", "--flag", "v", "-o", "json", "--", "x")
    with cluster_of(simulated_mesh.kubernetes.kubeconfig(), [tmp_path]):
        said = await linkerd(NEW, "steward", *arguments)
        failed = await linkerd(NEW, "steward", "run", "--fail")
        early = await linkerd(NEW, "--context", "default", "steward", "status")
        unknown = await linkerd(NEW, "nosuch", "x")
    printed = capfd.readouterr().out
    assert printed.splitlines()[0] == recorded.path("recordings", "extension", "exec.txt").read_text().strip()
    assert (said.code, failed.code) == (0, 1)
    for name, answer in (("exec-exit7", failed), ("exec-global-flags-first", early), ("unknown-command", unknown)):
        expected = recorded.path("recordings", "extension", f"{name}.txt.stderr").read_text()
        assert answer.err.strip() == expected.strip()
        assert answer.code == 1
    assert calls(log) == recorded_calls("exec") + recorded_calls("exec-exit7")


# the executable


async def test_the_written_executable_runs_by_itself(simulated_mesh: SimulatedMesh, tmp_path: Path) -> None:
    path = write_cli(tmp_path, NEW)
    assert path == tmp_path / NEW / "linkerd"
    await simulated_mesh.install(OLD)
    environment = {
        "KUBECONFIG": str(simulated_mesh.kubernetes.kubeconfig()),
        "HOME": "/nonexistent",
        "PATH": os.defpath,
    }
    process = await asyncio.create_subprocess_exec(
        path, "version", env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert (out.decode(), err.decode(), process.returncode) == (
        f"Client version: {NEW}\nServer version: {OLD}\n",
        "",
        0,
    )


def test_an_executable_needs_a_version_that_exists(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no Linkerd version"):
        write_cli(tmp_path, "latest")


async def test_without_a_command_there_is_help() -> None:
    said = await linkerd(NEW)
    assert "Available Commands" in said.out
    assert said.code == 0


def test_a_release_knows_what_changed() -> None:
    traits = {
        version: (release.native_sidecars, release.init_inside_proxy_image, release.checks_gateway_api)
        for version in recorded.VERSIONS
        for release in [Release(version)]
    }
    assert traits == {V219: (False, False, False), OLD: (True, True, False), NEW: (True, True, True)}
