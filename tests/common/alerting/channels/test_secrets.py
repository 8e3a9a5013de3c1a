"""Secrets of channels: named, never held."""

import pytest

from steward.alerting.channels.plain import rendered
from steward.alerting.channels.redaction import reveals
from steward.jsonvalue import Json, JsonObject, text, walk
from tests.common.alerting.channels.specimens import HOME, KINDS, channel, target


def test_secrets_are_files_and_each_channel_has_its_own() -> None:
    found = rendered(
        [channel(namespace, kind, **KINDS[kind]) for namespace in (HOME, "emojivoto") for kind in KINDS], target()
    )
    named = {text(each) for each in walk(found.document) if text(each).endswith(".secret")}
    assert {each.path for each in found.secret_files} == named
    assert f"/etc/linkerd-steward/secrets/{HOME}+smtp+password.secret" in named
    assert "/etc/linkerd-steward/secrets/emojivoto+smtp+password.secret" in named
    assert all(each.path.rpartition("/")[2].startswith(f"{each.channel.namespace}+") for each in found.secret_files)


def test_the_name_of_a_file_is_never_too_long() -> None:
    long: Json = {"webhook": {"name": "s" * 253, "key": "k" * 253}}
    longer: Json = {"webhook": {"name": "s" * 253, "key": "k" * 252}}
    found = rendered([channel("n" * 63, "a", teams=long), channel("n" * 63, "b", teams=longer)], target())
    names = [each.path.rpartition("/")[2] for each in found.secret_files]
    assert len(set(names)) == 2
    assert all(len(name) <= 255 for name in names)


@pytest.mark.parametrize(
    "document",
    [
        {"receivers": [{"url": "https://hooks.acme.org/T0k3n"}]},
        {"T0k3n": 1},
        {"data": {"token": "VDBrM24="}},
        {"in": "c29tZXRoaW5nOiBUMGszbg==", "key": ["T0k3n "]},
    ],
)
def test_a_secret_that_is_written_anywhere_is_found(document: JsonObject) -> None:
    assert reveals(document, ["T0k3n", "other-secret", ""]) == ("T0k3n",)


def test_a_document_without_secrets_reveals_none() -> None:
    found = rendered([channel(HOME, kind, **KINDS[kind]) for kind in KINDS], target())
    assert reveals(found.document, ["hunter2-hunter2", "https://hooks.slack.com/services/T/B/x"]) == ()
