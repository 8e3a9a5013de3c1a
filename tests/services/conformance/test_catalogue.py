"""The catalogue that the command line reads: current, complete and true."""

import pytest

from services.conformance.catalogue import written
from services.conformance.core.probes import PROBES
from steward.conformance.catalogue import Catalogue, catalogue
from steward.conformance.results import Tier


def test_the_committed_catalogue_is_the_one_of_the_probes() -> None:
    committed, made = catalogue(), Catalogue.model_validate_json(written())
    outdated = {each.feature for each in set(committed.features) ^ set(made.features)}
    assert outdated == set(), "run `make catalogue`"
    # Not compared by pytest itself, which takes minutes to show where the two differ.
    same = committed == made
    assert same, "run `make catalogue`"


def test_every_probe_is_in_the_catalogue_and_says_how_it_is_tried() -> None:
    assert [each.feature for each in catalogue().features] == [probe.id for probe in PROBES]
    assert [each.feature for each in catalogue().features if not each.steps] == []


def test_what_disturbs_is_never_in_the_default_tiers() -> None:
    bold = [each for each in catalogue().features if each.safety.value == "Disruptive"]
    assert {each.tier for each in bold} <= {Tier.DISRUPTIVE}


@pytest.mark.parametrize(("pattern", "prefix"), [("authz", "authz."), ("ratelimit.*", "ratelimit.")])
def test_a_pattern_means_a_group(pattern: str, prefix: str) -> None:
    meant = catalogue().meant(pattern)
    assert meant == tuple(each for each in catalogue().features if each.feature.startswith(prefix))
    assert meant


def test_a_pattern_means_one_feature_where_it_is_written_out() -> None:
    assert [each.feature for each in catalogue().meant("egress.deny")] == ["egress.deny"]
    assert catalogue().find("egress.nothing") is None
