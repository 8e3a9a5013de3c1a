"""The stand-in charts through real helm, where the cluster tier has built one."""

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steward.jsonvalue import JsonObject, dig, text, texts
from steward.testing.cluster.binaries import cached
from steward.testing.cluster.settings import ClusterTestSettings
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.charts import write_charts
from steward.testing.linkerd.manifests import control_plane
from steward.testing.linkerd.objects import identity, opened
from steward.testing.linkerd.values import Method, dump, load, load_all

NEW = "edge-26.8.3"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
TRUST = Trust.for_helm(NOW)


@pytest.fixture
def helm() -> Path:
    path = cached(ClusterTestSettings.from_environment()).path("helm")
    if not path.exists():
        pytest.skip("needs helm, which `make test-cluster` builds once")
    return path


def rendered(helm: Path, chart: Path, values: JsonObject, folder: Path) -> dict[tuple[str, str, str], JsonObject]:
    (folder / "values.yaml").write_text(dump(values))
    argv = [str(helm), "template", chart.name, str(chart), "-n", "linkerd", "--kube-version", "1.36.3"]
    argv += ["-f", str(folder / "values.yaml")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {identity(one): one for one in load_all(done.stdout)}


def trusting(**more: JsonObject) -> JsonObject:
    issuer: JsonObject = {"crtPEM": TRUST.issuer.certificate, "keyPEM": TRUST.issuer.key}
    return {"identityTrustAnchorsPEM": TRUST.anchors, "identity": {"issuer": {"tls": issuer}}, **more}


def test_the_chart_describes_itself_as_upstreams_does(tmp_path: Path) -> None:
    charts = write_charts(tmp_path, NEW, NOW)
    assert charts == tmp_path / NEW / "charts"
    about = load((charts / "linkerd-control-plane" / "Chart.yaml").read_text())
    assert (about["version"], about["appVersion"], about["kubeVersion"]) == ("2026.8.3", NEW, ">=1.31.0-0")
    assert "appVersion" not in load((charts / "linkerd-crds" / "Chart.yaml").read_text())


def test_helm_renders_what_the_manifests_are(helm: Path, tmp_path: Path) -> None:
    charts = write_charts(tmp_path, NEW, NOW)
    made = rendered(helm, charts / "linkerd-control-plane", trusting(), tmp_path)
    wanted = {identity(one) for one in control_plane(NEW, TRUST, NOW, method=Method.HELM)}
    assert set(made) == wanted
    assert len(rendered(helm, charts / "linkerd-crds", {}, tmp_path)) == 10


def test_values_reach_the_objects(helm: Path, tmp_path: Path) -> None:
    chart = write_charts(tmp_path, NEW, NOW) / "linkerd-control-plane"
    made = rendered(helm, chart, trusting(proxy={"logLevel": "debug"}), tmp_path)
    config = load(text(made["ConfigMap", "linkerd", "linkerd-config"], "data", "values"))
    assert dig(config, "proxy", "logLevel") == "debug"
    assert dig(config, "linkerdVersion") == NEW
    assert opened(made["Secret", "linkerd", "linkerd-identity-issuer"])["key.pem"] == TRUST.issuer.key.strip()
    roots = text(made["ConfigMap", "linkerd", "linkerd-identity-trust-roots"], "data", "ca-bundle.crt")
    assert roots.strip() == TRUST.anchors.strip()
    created = texts(made["ConfigMap", "linkerd", "linkerd-config"], "metadata", "annotations")["linkerd.io/created-by"]
    assert created == f"linkerd/helm {NEW}"


def test_each_render_has_webhook_certificates_of_its_own(helm: Path, tmp_path: Path) -> None:
    chart = write_charts(tmp_path, NEW, NOW) / "linkerd-control-plane"
    name = ("MutatingWebhookConfiguration", "", "linkerd-proxy-injector-webhook-config")
    bundles = {
        text(rendered(helm, chart, trusting(), tmp_path)[name], "webhooks", 0, "clientConfig", "caBundle")
        for _ in range(2)
    }
    assert len(bundles) == 2
