"""Trust anchors, issuer and webhook certificates: valid, for long enough, and in agreement with each other.

A left-over root that has expired harms nobody as long as another anchor verifies the issuer, whatever
`linkerd check` says of it.
"""

from datetime import datetime, timedelta

from services.upgrader.core.gates.verdict import Finding, Verdict, failed, inconclusive, passed
from steward.linkerd.certificates import CertificateFacts, CertificateInventory, WebhookCertificates, chains_to
from steward.resources.upgrade_plan import Certificates


def judge(seen: CertificateInventory, settings: Certificates, now: datetime) -> Verdict:
    """Failed by what is wrong, Inconclusive by what could not be read."""
    needed = timedelta(seconds=settings.min_remaining_seconds)
    findings = [*_identity(seen, needed, now)]
    for webhook in seen.webhooks:
        findings += _webhook(webhook, settings, needed, now)
    if findings:
        return failed("CertificatesWrong", tuple(findings))
    unread = [*seen.problems, *(f"{each.webhook}: {each.problem}" for each in seen.webhooks if each.problem)]
    if not seen.anchors or not seen.issuer:
        unread.append("the trust bundle or the issuer is not there to be read")
    if unread:
        return inconclusive("CertificatesUnreadable", "; ".join(unread[:10]))
    leftover = sum(not anchor.valid_at(now) for anchor in seen.anchors)
    ends = min(each.not_after for each in (seen.issuer[0], *(w.serving[0] for w in seen.webhooks if w.serving)))
    text = f"all certificates agree; the first one to end does so on {ends:%Y-%m-%d}"
    return passed("CertificatesValid", f"{text}; {leftover} left-over anchors have expired" if leftover else text)


def _identity(seen: CertificateInventory, needed: timedelta, now: datetime) -> list[Finding]:
    if not seen.anchors or not seen.issuer:
        return []
    living = [anchor for anchor in seen.anchors if anchor.valid_at(now)]
    if not living:
        ended = max(anchor.not_after for anchor in seen.anchors)
        return [
            Finding(
                "anchor/validity",
                f"no trust anchor is valid any more, the last one ended on {ended:%Y-%m-%d}: rotate it",
            )
        ]
    issuer = seen.issuer[0]
    found = _dates(issuer, "the issuer", "issuer", needed, now)
    verifying = [anchor for anchor in living if chains_to(seen.issuer, (anchor,))]
    if not verifying:
        message = f"no valid trust anchor verifies the issuer {issuer.subject!r}: new proxies would trust nobody"
        return [*found, Finding("issuer/trust", message)]
    best = max(verifying, key=lambda anchor: anchor.not_after)
    return [*found, *_dates(best, "the trust anchor that verifies the issuer", "anchor", needed, now)]


def _dates(certificate: CertificateFacts, what: str, name: str, needed: timedelta, now: datetime) -> list[Finding]:
    if now < certificate.not_before:
        return [Finding(f"{name}/validity", f"{what} is not valid before {certificate.not_before:%Y-%m-%d %H:%M UTC}")]
    if not certificate.valid_at(now):
        return [Finding(f"{name}/validity", f"{what} ended on {certificate.not_after:%Y-%m-%d}: renew it")]
    if certificate.remaining(now) < needed:
        message = f"{what} ends on {certificate.not_after:%Y-%m-%d}, and {needed} must remain: renew it"
        return [Finding(f"{name}/remaining", message)]
    return []


def _webhook(webhook: WebhookCertificates, settings: Certificates, needed: timedelta, now: datetime) -> list[Finding]:
    if webhook.problem or not webhook.serving:
        return []
    name = f"webhook/{webhook.webhook}"
    found = _dates(webhook.serving[0], f"the certificate of webhook {webhook.webhook}", name, needed, now)
    if settings.require_webhook_ca_agreement and not webhook.agree:
        message = (
            f"the caBundle of webhook {webhook.webhook} does not verify its server's certificate for {webhook.service}"
        )
        found.append(Finding(f"{name}/agreement", message))
    return found
