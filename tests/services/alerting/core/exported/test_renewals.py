"""cert-manager's Certificates as it leaves them."""

from datetime import UTC, datetime

import pytest

from services.alerting.core.exported.renewals import Renewal, renewal_of, renewed
from steward.jsonvalue import JsonObject

ISSUER: JsonObject = {
    "metadata": {"name": "issuer", "namespace": "linkerd"},
    "spec": {"secretName": "linkerd-identity-issuer"},
    "status": {
        "renewalTime": "2026-08-23T10:00:00Z",
        "conditions": [{"type": "Issuing", "status": "True"}, {"type": "Ready", "status": "True"}],
    },
}


def test_a_certificate_says_which_secret_it_keeps_and_when_it_renews_it() -> None:
    due = datetime(2026, 8, 23, 10, tzinfo=UTC)
    assert renewal_of(ISSUER) == Renewal("linkerd", "issuer", "linkerd-identity-issuer", due, ready=True)


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"conditions": [{"type": "Ready", "status": "False"}]},
        {"conditions": [{"type": "Ready", "status": "Unknown"}]},
        {"conditions": "none", "renewalTime": "soon"},
        {"renewalTime": 7},
    ],
)
def test_what_is_not_said_to_be_ready_is_not_ready(status: JsonObject) -> None:
    found = renewal_of({**ISSUER, "status": status})
    assert found is not None
    assert (found.planned, found.ready) == (None, False)


@pytest.mark.parametrize("body", [{}, {"spec": {}}, {"spec": {"secretName": 7}}, {"spec": []}])
def test_a_certificate_that_keeps_no_secret_plans_nothing(body: JsonObject) -> None:
    assert renewal_of(body) is None


def test_a_secret_of_the_same_name_elsewhere_is_another_secret() -> None:
    found = renewal_of(ISSUER)
    assert found is not None
    assert renewed([found], "linkerd", "linkerd-identity-issuer") == found
    assert renewed([found], "shop", "linkerd-identity-issuer") is None
