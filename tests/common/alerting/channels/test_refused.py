"""What a channel cannot be, and what to do instead."""

import pytest

from steward.alerting.channels.plain import rendered
from steward.jsonvalue import JsonObject
from tests.common.alerting.channels.specimens import KINDS, channel, target

REFUSED: dict[str, tuple[JsonObject, str, str]] = {
    "no way": ({}, "NotOneDestination", "exactly one"),
    "two ways": ({**KINDS["hook"], **KINDS["mail"]}, "NotOneDestination", "exactly one"),
    "no address": ({"webhook": {}}, "NotOneAddress", "exactly one of webhook.url and urlFrom"),
    "two addresses": (
        {"webhook": {"url": "http://a/", "urlFrom": {"name": "a", "key": "b"}}},
        "NotOneAddress",
        "exactly one of webhook.url and urlFrom",
    ),
    "no host": ({"webhook": {"url": "http:///x"}}, "BadUrl", "https://hooks.acme.org/mesh"),
    "no port": ({"webhook": {"url": "http://a:99999/x"}}, "BadUrl", "https://hooks.acme.org/mesh"),
    "half an escape": ({"webhook": {"url": "http://a/%zz"}}, "BadUrl", "https://hooks.acme.org/mesh"),
    "a password in the address": ({"webhook": {"url": "http://a:b@c/"}}, "BadUrl", "https://hooks.acme.org/mesh"),
    "neither webhook nor bot": ({"slack": {"channel": "#a"}}, "NotOneSlack", "exactly one"),
    "a bot without a channel": ({"slack": {"botToken": {"name": "a", "key": "b"}}}, "NoSlackChannel", "#mesh"),
    "a mail to nobody": (
        {"email": {"to": ["a..b@c.org"], "sender": "a@b.c", "smarthost": "a:25"}},
        "BadAddress",
        "ops@acme.org",
    ),
    "a sender that is none": (
        {"email": {"to": ["a@b.c"], "sender": 'a"@b.c', "smarthost": "a:25"}},
        "BadAddress",
        "ops@acme.org",
    ),
    "a mail server that is none": (
        {"email": {"to": ["a@b.c"], "sender": "a@b.c", "smarthost": "::::25"}},
        "BadSmarthost",
        "smtp.acme.org:587",
    ),
    "a port that is none": (
        {"email": {"to": ["a@b.c"], "sender": "a@b.c", "smarthost": "a:0"}},
        "BadSmarthost",
        "smtp.acme.org:587",
    ),
    "a password of nobody": (
        {"email": {"to": ["a@b.c"], "sender": "a@b.c", "smarthost": "a:25", "password": {"name": "a", "key": "b"}}},
        "NoUsername",
        "spec.email.username",
    ),
    "a user without a password": (
        {"email": {"to": ["a@b.c"], "sender": "a@b.c", "smarthost": "a:25", "username": "me"}},
        "NoPassword",
        "spec.email.password",
    ),
    "a Secret elsewhere": (
        {"teams": {"webhook": {"name": "../../etc/passwd", "key": "x"}}},
        "BadSecretName",
        "a Secret beside it",
    ),
    "a label that is none": (
        {**KINDS["hook"], "match": {"labels": {'a="b",c': "d"}}},
        "BadMatch",
        "correct spec.match",
    ),
    "a time that is none": (
        {**KINDS["hook"], "quiet": [{"begins": "08:00", "ends": "08:00"}]},
        "BadQuietTime",
        "let it end later",
    ),
    "another namespace": (
        {**KINDS["hook"], "match": {"namespaces": ["books"]}},
        "ForeignNamespace",
        "Steward's own namespace",
    ),
    "another namespace by label": (
        {**KINDS["hook"], "match": {"labels": {"namespace": "books"}}},
        "ForeignNamespace",
        "Steward's own namespace",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_is_refused_with_the_reason_and_the_remedy_and_the_rest_stands(name: str) -> None:
    spec, reason, remedy = REFUSED[name]
    found = rendered([channel("emojivoto", "wrong", **spec), channel("emojivoto", "right", **KINDS["hook"])], target())
    assert [each.channel.name for each in found.outlets] == ["right"]
    (refused,) = found.refused
    assert (refused.object, refused.reason) == ("AlertChannel/emojivoto/wrong", reason)
    assert remedy in refused.remedy
    assert refused.message in refused.sentence
    assert refused.remedy in refused.sentence
