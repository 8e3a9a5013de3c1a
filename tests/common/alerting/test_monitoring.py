"""How series are told apart, whoever wrote the scrape configuration."""

import pytest

from steward.alerting.matching import fits
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile

PROFILE = ScrapeProfile(ScrapeKind.CUSTOM)


@pytest.mark.parametrize("job", ["linkerd-proxy", "linkerd/linkerd-proxy", "mesh/linkerd-proxy"])
def test_proxies_are_known_under_both_spellings(job: str) -> None:
    assert fits(PROFILE.proxies, {"job": job})
    assert not fits(PROFILE.controllers, {"job": job})


@pytest.mark.parametrize("job", ["linkerd-proxy-2", "my-linkerd-proxy", "linkerd-controller", "prometheus", ""])
def test_other_jobs_are_no_proxies(job: str) -> None:
    assert not fits(PROFILE.proxies, {"job": job})


@pytest.mark.parametrize("job", ["linkerd-controller", "linkerd/linkerd-controller"])
def test_controllers_are_known_under_both_spellings(job: str) -> None:
    assert fits(PROFILE.controllers, {"job": job})
    assert not fits(PROFILE.proxies, {"job": job})


@pytest.mark.parametrize("job", ["apiserver", "kubernetes-apiservers", "kube-apiserver"])
def test_the_api_server_is_known_by_its_usual_names(job: str) -> None:
    assert fits(PROFILE.api_server, {"job": job})


@pytest.mark.parametrize(
    "job", ["linkerd-steward", "linkerd-steward-alerting", "linkerd-steward/linkerd-steward-alerting"]
)
def test_our_own_exporter_is_known(job: str) -> None:
    assert fits(PROFILE.exporter, {"job": job})
    assert not fits(PROFILE.exporter, {"job": job.replace("linkerd-steward", "steward")})


def test_a_controllers_own_namespace_is_renamed_only_where_that_is_known() -> None:
    assert PROFILE.own_namespace == "namespace"
    assert (
        ScrapeProfile(ScrapeKind.POD_MONITOR, own_namespace="exported_namespace").own_namespace == "exported_namespace"
    )


def test_nothing_is_known_of_the_versions_before_they_are_looked_at() -> None:
    found = Monitoring(PROFILE)
    assert (found.linkerd, found.retention, found.prometheus, found.alertmanager) == (None, None, (), ())
