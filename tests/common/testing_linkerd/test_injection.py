"""Pods injected by the stand-in against pods that the real injector let in."""

import json
from collections.abc import Iterator
from copy import deepcopy

import pytest

from steward.jsonvalue import Json, JsonObject, dig, flag, rows, table, text, texts
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.injection import Injection, Injector, Owner, inject
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import Installation, Method
from tests.common.testing_linkerd import recorded
from tests.common.testing_linkerd.test_manifests import NOW, leaves

TRUST = Trust.for_cli(NOW)
ENABLED = {"linkerd.io/inject": "enabled"}
TOLERATED = ("/env/", "/serviceaccount", "kube-api-access", "/scheme", "/protocol", "terminationMessagePath",
             "successThreshold", "defaultMode", "initialDelaySeconds", "livenessProbe", "readinessProbe",
             "startupProbe/timeoutSeconds", "trust-root-sha256")  # fmt: skip


def injector(version: str, **overrides: Json) -> Injector:
    installation = Installation.planned(Release(version), TRUST, Method.CLI, overrides)
    return Injector.of(installation.config_values, TRUST.anchors)


def namespace(**annotations: str) -> JsonObject:
    return {"metadata": {"name": "app1", "annotations": dict[str, Json](annotations)}}


def pod(annotations: dict[str, str] | None = None, **spec: Json) -> JsonObject:
    containers: list[Json] = [{"name": "web", "image": "example/web:1", "ports": [{"containerPort": 8080}]}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "web-1",
            "namespace": "app1",
            "labels": {"app": "web"},
            "annotations": dict(annotations or {}),
        },
        "spec": {"containers": containers, **spec},
    }


def let_in(
    version: str = "edge-26.8.3", pod_annotations: dict[str, str] | None = None, *, by: Injector | None = None
) -> Injection:
    return inject(pod(pod_annotations), namespace=namespace(**ENABLED), injector=by or injector(version))


def stripped(injected: JsonObject) -> JsonObject:
    """A pod as it was before the injector saw it."""
    before = deepcopy(injected)
    spec = table(before, "spec")
    for kind in ("containers", "initContainers"):
        spec[kind] = [one for one in rows(spec, kind) if not text(one, "name").startswith("linkerd-")]
    spec["volumes"] = [one for one in rows(spec, "volumes") if not text(one, "name").startswith("linkerd-")]
    for kind in ("labels", "annotations"):
        metadata = table(before, "metadata")
        metadata[kind] = {
            key: value for key, value in texts(metadata, kind).items() if not key.startswith("linkerd.io/")
        }
    return before


def ours(thing: JsonObject) -> dict[str, Json]:
    """What the injector is responsible for, and what is not tolerated to differ."""
    found: dict[str, Json] = {}
    for kind in ("containers", "initContainers"):
        for one in rows(thing, "spec", kind):
            if text(one, "name").startswith("linkerd-"):
                found |= dict(leaves(one, f"{kind}/{text(one, 'name')}"))
    for kind in ("labels", "annotations"):
        found |= dict(leaves(table(thing, "metadata", kind), kind))
    found |= dict(leaves(thing["spec"].get("volumes"), "volumes"))  # type: ignore[union-attr]
    return {path: value for path, value in found.items() if not any(word in path for word in TOLERATED)}


RECORDED = [
    ("step219/pod-edge-25.10.7.yaml", "edge-25.10.7"),
    ("step219/pod-after-restart-26.6.3.yaml", "edge-26.6.3"),
    ("pods/injected-edge-26.6.3.yaml", "edge-26.6.3"),
    ("pods/injected-edge-26.8.3.yaml", "edge-26.8.3"),
]


@pytest.mark.parametrize(("file", "version"), RECORDED)
def test_an_injected_pod_is_like_the_recorded_one(file: str, version: str) -> None:
    theirs = recorded.documents("recordings", *file.split("/"))[0]
    mine = inject(
        stripped(theirs), namespace=namespace(**ENABLED), injector=injector(version), owner=Owner("Deployment", "web")
    ).pod
    assert ours(mine) == ours(theirs)
    order = [text(one, "name") for kind in ("initContainers", "containers") for one in rows(mine, "spec", kind)]
    assert order == [
        text(one, "name") for kind in ("initContainers", "containers") for one in rows(theirs, "spec", kind)
    ]


def kinds() -> Iterator[JsonObject]:
    for row in json.loads(recorded.path("recordings", "pods", "workload-kinds.json").read_text()):
        owner = dig(row, "metadata", "ownerReferences", 0)
        # A pod of a Job that a person made from a CronJob got no owner label; that Job is not a scheduled one.
        if text(row, "metadata", "name").startswith("cjnow"):
            continue
        yield {"name": text(row, "metadata", "name"), "row": row, "owner": owner}


def test_every_recorded_kind_of_workload_is_let_in_alike() -> None:
    """Deployment-less kinds, the pinned pod and those that stay without a proxy."""
    for case in kinds():
        row, owner = table(case, "row"), table(case, "owner")
        labels, annotations = texts(row, "metadata", "labels"), texts(row, "metadata", "annotations")
        asked = {key: value for key, value in annotations.items() if key.startswith("config.linkerd.io/")}
        if annotations.get("linkerd.io/inject") == "disabled":
            asked["linkerd.io/inject"] = "disabled"
        spec: JsonObject = {"hostNetwork": True} if case["name"] == "hostnet" else {}
        mine = inject(
            pod(asked, **spec),
            namespace={"metadata": {"name": "x1", "annotations": dict(ENABLED)}},
            injector=injector("edge-26.8.3"),
            owner=Owner(text(owner, "kind"), text(owner, "name")) if owner else None,
        )
        expected = [text(one, "name") for kind in ("init", "containers") for one in rows(row, kind)]
        found = [text(one, "name") for kind in ("initContainers", "containers") for one in rows(mine.pod, "spec", kind)]
        assert [name for name in found if name != "web"] == [name for name in expected if name != "c"], case["name"]
        images = {text(one, "name"): text(one, "image") for one in rows(row, "init") if "linkerd" in text(one, "name")}
        got = {text(one, "name"): text(one, "image") for one in rows(mine.pod, "spec", "initContainers")}
        assert got == images, case["name"]
        for key, value in labels.items():
            if key.startswith("linkerd.io/"):
                assert texts(mine.pod, "metadata", "labels")[key] == value, case["name"]
        for key, value in annotations.items():
            if "linkerd.io/" in key and "sha256" not in key:
                assert texts(mine.pod, "metadata", "annotations")[key] == value, case["name"]


def test_the_trust_annotation_is_the_digest_of_the_bundle() -> None:
    assert texts(let_in().pod, "metadata", "annotations")["linkerd.io/trust-root-sha256"] == TRUST.digest


def test_the_given_pod_is_left_as_it_was() -> None:
    before = pod()
    kept = deepcopy(before)
    inject(before, namespace=namespace(**ENABLED), injector=injector("edge-26.8.3"))
    assert before == kept


@pytest.mark.parametrize(
    ("annotations", "spec", "reason"),
    [
        pytest.param({}, {"hostNetwork": True}, "hostNetwork is enabled", id="host network"),
        pytest.param({"linkerd.io/inject": "disabled"}, {}, "linkerd.io/inject:disabled", id="disabled"),
        pytest.param({"linkerd.io/inject": "yes"}, {}, "linkerd.io/inject:yes", id="misspelt"),
        pytest.param({}, {"initContainers": [{"name": "linkerd-proxy"}]}, "already", id="present"),
        pytest.param({}, {"initContainers": [{"name": "istio-proxy"}]}, "already", id="of another mesh"),
    ],
)
def test_a_pod_without_a_proxy_has_a_reason(annotations: dict[str, str], spec: JsonObject, reason: str) -> None:
    before = pod(annotations, **spec)
    injection = inject(before, namespace=namespace(**ENABLED), injector=injector("edge-26.8.3"))
    assert reason in injection.skipped
    assert (injection.pod, injection.patch(before), injection.injected) == (before, [], False)


def test_a_namespace_that_does_not_ask_is_left_alone() -> None:
    assert "neither" in inject(pod(), namespace=namespace(), injector=injector("edge-26.8.3")).skipped


def test_a_token_of_its_own_lets_a_pod_without_automount_in() -> None:
    volume: Json = {"name": "t", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    before = pod(automountServiceAccountToken=False, volumes=[volume])
    assert inject(before, namespace=namespace(**ENABLED), injector=injector("edge-26.8.3")).injected


@pytest.mark.parametrize(("asked", "native"), [("true", True), ("false", False)])
def test_the_pod_chooses_its_kind_of_sidecar(asked: str, *, native: bool) -> None:
    for version in ("edge-25.10.7", "edge-26.8.3"):
        got = let_in(version, {"config.linkerd.io/proxy-enable-native-sidecar": asked}).pod
        names = [text(one, "name") for one in rows(got, "spec", "initContainers")]
        assert ("linkerd-proxy" in names) is native


def test_the_generally_available_annotation_wins_over_the_beta_one() -> None:
    got = let_in(
        pod_annotations={
            "config.beta.linkerd.io/proxy-enable-native-sidecar": "true",
            "config.linkerd.io/proxy-enable-native-sidecar": "false",
        }
    ).pod
    assert [text(one, "name") for one in rows(got, "spec", "containers")] == ["linkerd-proxy", "web"]


def test_a_pin_on_the_namespace_reaches_the_pod() -> None:
    pinned = namespace(**ENABLED, **{"config.linkerd.io/proxy-version": "edge-26.6.3"})
    got = inject(pod(), namespace=pinned, injector=injector("edge-26.8.3")).pod
    annotations = texts(got, "metadata", "annotations")
    assert annotations["linkerd.io/proxy-version"] == "edge-26.6.3"
    assert annotations["config.linkerd.io/proxy-version"] == "edge-26.6.3"
    assert annotations["linkerd.io/created-by"] == "linkerd/proxy-injector edge-26.8.3"


def test_a_version_of_the_proxy_in_the_values_is_used() -> None:
    got = let_in(by=injector("edge-26.8.3", proxy={"image": {"version": "edge-26.7.2"}})).pod
    assert text(rows(got, "spec", "initContainers")[1], "image") == "cr.l5d.io/linkerd/proxy:edge-26.7.2"


def test_a_webhook_answers_with_a_patch() -> None:
    before = pod()
    injection = inject(before, namespace=namespace(**ENABLED), injector=injector("edge-26.8.3"))
    review = injection.review_response("u1", before)
    assert flag(review, "response", "allowed")
    assert text(review, "response", "patchType") == "JSONPatch"
    assert {row["path"] for row in injection.patch(before) if isinstance(row, dict)} == {"/metadata", "/spec"}


def test_a_pod_without_a_token_gets_a_proxy_only_where_the_proxy_brings_its_own() -> None:
    before = pod({}, automountServiceAccountToken=False)
    assert inject(before, namespace=namespace(**ENABLED), injector=injector("edge-26.8.3")).injected
    without = injector("edge-26.8.3", identity={"serviceAccountTokenProjection": False})
    assert "automountServiceAccountToken" in inject(before, namespace=namespace(**ENABLED), injector=without).skipped


def test_where_the_cni_plugin_redirects_a_validator_takes_the_place_of_the_init_container() -> None:
    injected = let_in(by=injector("edge-26.8.3", cniEnabled=True)).pod
    validator, proxy = rows(injected, "spec", "initContainers")
    assert (text(validator, "name"), text(proxy, "name")) == ("linkerd-network-validator", "linkerd-proxy")
    assert text(validator, "image") == text(proxy, "image")
    assert dig(validator, "securityContext", "capabilities") == {"drop": ["ALL"]}
    assert "linkerd-proxy-init-xtables-lock" not in {text(one, "name") for one in rows(injected, "spec", "volumes")}


@pytest.mark.parametrize(("wish", "mode"), [("enabled", ""), ("ingress", "true")])
def test_only_a_pod_that_asks_to_be_an_ingress_gets_a_proxy_in_ingress_mode(wish: str, mode: str) -> None:
    (_, proxy) = rows(let_in(pod_annotations={"linkerd.io/inject": wish}).pod, "spec", "initContainers")
    environment = {text(one, "name"): text(one, "value") for one in rows(proxy, "env")}
    assert environment.get("LINKERD2_PROXY_INGRESS_MODE", "") == mode


def _added(**variables: str) -> dict[str, str]:
    rendered = json.dumps([{"name": name, "value": value} for name, value in variables.items()])
    return {"config.linkerd.io/proxy-additional-env": rendered}


def _variables(injected: JsonObject) -> dict[str, str]:
    proxy = next(one for one in rows(injected, "spec", "initContainers") if text(one, "name") == "linkerd-proxy")
    return {text(one, "name"): text(one, "value") for one in rows(proxy, "env")}


def test_variables_are_added_by_values_namespace_and_pod_and_the_nearest_wins() -> None:
    values: list[Json] = [{"name": name, "value": "values"} for name in ("FIRST", "SECOND", "THIRD")]
    around = namespace(**ENABLED, **_added(SECOND="namespace", THIRD="namespace"))
    by = injector("edge-26.8.3", proxy={"additionalEnv": values})
    got = _variables(inject(pod(_added(THIRD="pod", FOURTH="pod")), namespace=around, injector=by).pod)
    assert [got[name] for name in ("FIRST", "SECOND", "THIRD", "FOURTH")] == ["values", "namespace", "pod", "pod"]


def test_an_injector_that_is_too_old_adds_no_variables_by_annotation() -> None:
    assert "ONE" in _variables(let_in("edge-26.6.3", _added(ONE="1")).pod)
    assert "ONE" not in _variables(let_in("edge-26.5.4", _added(ONE="1")).pod)


def test_what_is_no_list_of_variables_adds_none() -> None:
    nonsense = {"config.linkerd.io/proxy-additional-env": "ONE=1"}
    assert _variables(let_in(pod_annotations=nonsense).pod) == _variables(let_in().pod)
