"""Channels of every kind, and texts that try to be something else."""

from steward.alerting.channels.target import OwnWebhook, Target
from steward.alerting.monitoring import NUMBER
from steward.jsonvalue import Json, JsonObject, table
from steward.resources.alert_channel import AlertChannel

HOME = "linkerd-steward"
CURRENT: NUMBER = (0, 34, 2)
OLD: NUMBER = (0, 25, 0)

KINDS: dict[str, JsonObject] = {
    "mail": {"email": {"to": ["ops@acme.org"], "sender": "mesh@acme.org", "smarthost": "smtp.acme.org:587"}},
    "mail-with-password": {
        "email": {
            "to": ["ops@acme.org", "o'hara+mesh@acme.org"],
            "sender": "mesh@acme.org",
            "smarthost": "[2001:db8::25]:25",
            "username": "mesh",
            "password": {"name": "smtp", "key": "password"},
            "requireTls": False,
        }
    },
    "slack": {"slack": {"webhook": {"name": "slack", "key": "url"}}},
    "slack-bot": {"slack": {"botToken": {"name": "slack", "key": "token"}, "channel": "#mesh"}},
    "pager": {"pagerDuty": {"routingKey": {"name": "pager", "key": "routing-key"}}},
    "pager-elsewhere": {
        "pagerDuty": {"routingKey": {"name": "pager", "key": "routing-key"}, "url": "https://events.eu.acme.org/v2"}
    },
    "hook": {"webhook": {"url": "https://hooks.acme.org:8443/mesh?a=b&c=%20d"}},
    "hook-with-token": {
        "webhook": {"url": "http://10.0.0.1/", "bearerToken": {"name": "hook", "key": "token"}, "maxAlerts": 20}
    },
    "hook-with-secret-address": {"webhook": {"urlFrom": {"name": "hook", "key": "url"}}},
    "teams": {"teams": {"webhook": {"name": "teams", "key": "url"}}},
}
OBJECTS: dict[str, JsonObject] = {
    **KINDS,
    "mail-with-password": {"email": {**table(KINDS["mail-with-password"], "email"), "smarthost": "smtp.acme.org:25"}},
}
"""The same as the operator's objects can say them: it loses the brackets of an IPv6 address."""
NEEDS: dict[str, NUMBER] = {
    "mail": (0, 22),
    "mail-with-password": (0, 25),
    "slack": (0, 22),
    "slack-bot": (0, 30),
    "pager": (0, 25),
    "pager-elsewhere": (0, 25),
    "hook": (0, 22),
    "hook-with-token": (0, 22),
    "hook-with-secret-address": (0, 28),
    "teams": (0, 28),
}
"""From which version on a kind can be told by files."""

NASTY = (
    'say "hi"',
    "back\\slash\\",
    "two\nlines",
    "tab\there",
    "{{ .ExternalURL }}",
    "{{",
    "}}",
    "{braces}",
    'a="b",c=~"d"',
    "it's # no: comment",
    "- list",
    "&anchor *alias !tag",
    "22:00",
    "null",
    "über-Straße ☂ 🚨",
    "\x85\u2028\ufeff",
    "a|b.c*(d)[e]{f}^g$h+i?",
    " blanks ",
    "",
)


def channel(namespace: str, name: str, **spec: Json) -> AlertChannel:
    """A channel as the API server has it."""
    return AlertChannel.of({"metadata": {"namespace": namespace, "name": name}, "spec": spec})


def target(alertmanager: NUMBER = CURRENT) -> Target:
    """An Alertmanager that tells Steward, too."""
    return Target(HOME, alertmanager, own=OwnWebhook("http://127.0.0.1:9465/alertmanager", "/run/steward/token"))
