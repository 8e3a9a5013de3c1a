"""Alert rules for conformance as data: what whoever writes rules for Prometheus takes from here."""

from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Annotated

from pydantic import BeforeValidator, Field

from steward.alerting.rules import Severity
from steward.conformance.catalogue import catalogue
from steward.durations import duration
from steward.errors import ConfigurationError
from steward.events.base import Part
from steward.jsonvalue import JsonObject, rows, whole
from steward.yamlvalue import parse_yaml

FILE = "alerts.yaml"
_FORMAT = 1
_SECURITY = "$security"


class AlertRule(Part):
    """One rule, whatever the form in which it is installed. Its texts are templates as Prometheus has them."""

    name: Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]+$", description="CamelCase, stable.")]
    severity: Severity
    lasting: Annotated[timedelta, BeforeValidator(duration), Field(alias="for", description="How long it must be so.")]
    expr: Annotated[str, Field(min_length=1, description="PromQL.")]
    summary: Annotated[str, Field(min_length=1, max_length=120)]
    description: Annotated[str, Field(min_length=1)]
    runbook: Annotated[str, Field(min_length=1, description="What to do, step by step, with commands.")]

    def to_prometheus(self, prefix: str = "StewardConformance") -> JsonObject:
        """As one of the `rules` of a rule file or of a PrometheusRule."""
        annotations: JsonObject = {
            "summary": self.summary,
            "description": self.description,
            "runbook": self.runbook,
        }
        return {
            "alert": f"{prefix}{self.name}",
            "expr": self.expr,
            "for": f"{round(self.lasting.total_seconds())}s",
            "labels": {"severity": self.severity.value},
            "annotations": annotations,
        }


@cache
def alert_rules() -> tuple[AlertRule, ...]:
    """All of them, for the features of this version."""
    document = parse_yaml((files("steward.conformance") / FILE).read_text(encoding="utf-8"))
    if whole(document, "format") != _FORMAT:
        raise ConfigurationError(f"{FILE} has another format than {_FORMAT}: it belongs to another version of Steward")
    return tuple(AlertRule.model_validate(_filled(rule)) for rule in rows(document, "rules"))


def _filled(rule: JsonObject) -> JsonObject:
    return {**rule, "expr": str(rule.get("expr")).replace(_SECURITY, security_features())}


def security_features() -> str:
    """A pattern, inside a PromQL string, of the features whose failure means that something is open."""
    names = sorted(each.feature for each in catalogue().features if each.security)
    return "|".join(name.replace(".", "\\\\.") for name in names)
