"""How rules and routes are delivered: one way at a time, and the reason for it."""

from dataclasses import dataclass
from enum import StrEnum

_FOLDERS = "its four folders: files.rules, files.alertmanager, files.secrets and files.good"


class Delivery(StrEnum):
    """How rules and routes reach Prometheus and Alertmanager."""

    AUTO = "Auto"
    """Files where folders are named, else the prometheus-operator where its kinds are installed."""
    FILES = "Files"
    """Files in folders that both read, and a reload."""
    OPERATOR = "Operator"
    """PrometheusRules and AlertmanagerConfigs."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the settings say."""

    delivery: Delivery
    folders_named: int
    """Of four."""
    reloads: bool
    """Whether the addresses of both are known, so that they can be asked to load files."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The way. `by` is None where there is none; `message` says why, and what would help."""

    by: Delivery | None
    message: str


def chosen(wish: Wish, *, operator_is_there: bool) -> Chosen:
    """Settings that say both ways, or half of one, are no way at all: nothing must be delivered twice."""
    if wish.folders_named:
        return _by_files(wish)
    if wish.delivery is Delivery.FILES:
        return Chosen(None, f"delivery by files needs {_FOLDERS}")
    if operator_is_there:
        return Chosen(Delivery.OPERATOR, "PrometheusRule is installed: objects for the prometheus-operator")
    return Chosen(
        None,
        "there is no way to Prometheus: neither folders for files are named, nor is the prometheus-operator installed; "
        "add the component deploy/components/alerting, or install the operator",
    )


def _by_files(wish: Wish) -> Chosen:
    if wish.delivery is Delivery.OPERATOR:
        return Chosen(None, "both ways are configured: take the folders away, or the word Operator")
    if wish.folders_named < 4:
        return Chosen(None, f"delivery by files needs all of {_FOLDERS}")
    if not wish.reloads:
        return Chosen(None, "delivery by files needs prometheus.url and alertmanager.url, to have the files loaded")
    return Chosen(Delivery.FILES, "folders are named: files, and a reload")
