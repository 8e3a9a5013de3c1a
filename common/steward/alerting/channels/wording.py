"""The texts of mails and messages: Go templates of ours, constant. What others chose goes through them as data only.

They are the files of `texts/`, and use nothing that Alertmanager 0.25 does not have. They read of an alert

    labels       alertname, severity, namespace, service, route; the rest as it is
    annotations  summary, description, runbook (a name), runbook_url (an address)

A group may hold hundreds of alerts, and what a service refuses as too long is told to nobody: only the first are
written out, and their number is told. Slack reads &, < and > (`<!channel>` in a summary would call everybody), Teams
reads [text](address), and a terminal what is pasted: each is taken care of where it is written.
"""

from importlib.resources import files


def _text(name: str) -> str:
    return (files("steward.alerting.channels") / "texts" / f"{name}.tmpl").read_text(encoding="utf-8").rstrip("\n")


SENDER = "Linkerd Steward"
SUBJECT = _text("subject")
"""One line: the worst severity or `resolved`, what it is about, the summary where there is only one alert."""
MAIL_TEXT = _text("mail.txt")
MAIL_HTML = _text("mail.html")
SLACK_TITLE = _text("slack_title")
SLACK_COLOUR = _text("slack_colour")
SLACK_TEXT = _text("slack_text")
TEAMS_TEXT = _text("teams")
PAGER_SEVERITY = _text("pager_severity")
"""One of the four words that PagerDuty knows."""
PAGER_CLASS = "{{ .CommonLabels.alertname }}"
PAGER_COMPONENT = "{{ or .CommonLabels.service .CommonLabels.component }}"
PAGER_GROUP = "{{ .CommonLabels.namespace }}"
PAGER_DETAILS = {
    "num_firing": "{{ len .Alerts.Firing }}",
    "num_resolved": "{{ len .Alerts.Resolved }}",
    "firing": _text("pager_firing"),
    "resolved": _text("pager_resolved"),
}
"""The names are those of Alertmanager's own details: what is not replaced would come besides."""


def literal(text: str) -> str:
    """`text` in a place that Alertmanager reads as a template, so that it comes out as it is."""
    return text.replace("{{", '{{ "{{" }}')
