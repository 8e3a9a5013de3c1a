"""What to do about each alert: a page for each, in `runbooks/`, under the alert's name in small letters."""

from functools import cache
from importlib.resources import files

from steward.alerting.objectives.slo_rules import ERROR_BURN, LATENCY_BURN
from steward.alerting.own_alerts import OWN_ALERTS
from steward.alerting.pack import shipped_pack

FOLDER = "runbooks"
_SUFFIX = ".md"


class UnknownRunbook(LookupError):
    """There is no page of that name; the message says where the names are."""


@cache
def runbook_names() -> tuple[str, ...]:
    """Alerts that have a page: those of the pack, those that Steward posts itself, and those of objectives."""
    own = (alert.name for alert in OWN_ALERTS)
    return tuple(sorted({*(alert.runbook for alert in shipped_pack().alerts), *own, ERROR_BURN, LATENCY_BURN}))


def runbook(name: str) -> str:
    """The page of an alert, in Markdown. Large and small letters are the same. Raise UnknownRunbook for any other."""
    known = {each.lower() for each in runbook_names()}
    if name.lower() not in known:
        raise UnknownRunbook(
            f"there is no runbook for {name!r}: `linkerd-steward alerts pack` lists the alerts that have one"
        )
    page = files("steward.alerting") / FOLDER / f"{name.lower()}{_SUFFIX}"
    return page.read_text(encoding="utf-8")
