"""What which version of Alertmanager can be told. A field that a version does not know makes it refuse all of it."""

from dataclasses import dataclass

from steward.alerting.monitoring import NUMBER

OLDEST: NUMBER = (0, 22)
"""The first with `matchers`; what is assumed of an Alertmanager whose version nobody knows."""


@dataclass(frozen=True, slots=True)
class Feature:
    """Something that versions before `since` refuse, or do badly."""

    what: str
    """As it stands in a sentence: this Alertmanager does not know …"""
    since: NUMBER

    @property
    def version(self) -> str:
        """The first with it, as people write it."""
        return ".".join(map(str, self.since))


MATCHERS = Feature("`matchers`", OLDEST)
TIME_INTERVALS = Feature("`time_intervals`", (0, 24))
TIME_ZONES = Feature("time zones", (0, 25))
PASSWORD_FILE = Feature("`auth_password_file`", (0, 25))
ROUTING_KEY_FILE = Feature("`routing_key_file`", (0, 25))
URL_FILE = Feature("a `url_file` of webhooks that it survives", (0, 28))
"""0.26 and 0.27 take the field, and die where such a webhook answers with an error (prometheus/alertmanager#3798)."""
WEBHOOK_TIMEOUT = Feature("`timeout` of webhooks", (0, 28))
TEAMS = Feature("`msteamsv2_configs`", (0, 28))
BOT_TOKEN_FILE = Feature("`app_token_file` of Slack", (0, 30))


def has(alertmanager: NUMBER, feature: Feature) -> bool:
    """Whether this version can be told; `()`, which nobody knows, is taken for the oldest."""
    return (alertmanager or OLDEST) >= feature.since


def lacks(alertmanager: NUMBER, feature: Feature) -> str:
    """The half sentence that says so."""
    if not alertmanager:
        return f"the version of Alertmanager is not known, and {feature.what} needs {feature.version}"
    return f"Alertmanager {'.'.join(map(str, alertmanager))} does not have {feature.what}"
