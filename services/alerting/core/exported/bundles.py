"""PEM bundles as people really leave them: what can be read of one is read, and what cannot is said.

`steward.linkerd.certificates.parse_bundle` refuses a bundle with one bad certificate in it, as a gate must. Whoever
counts the days of the others cannot wait until somebody has mended it.
"""

import base64
import re
from dataclasses import dataclass

from steward.jsonvalue import Json
from steward.linkerd.certificates import CertificateFacts, MalformedCertificate, parse_bundle

_LARGEST = 1_048_576
"""Kubernetes itself stores no larger object."""
_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was read, in its order, and why the rest was not. No sentence repeats what it is about."""

    certificates: tuple[CertificateFacts, ...] = ()
    problems: tuple[str, ...] = ()


def read_bundle(pem: str) -> Bundle:
    """Every certificate that can be read. What stands between the blocks is a comment, as it is to Linkerd."""
    if len(pem) > _LARGEST:
        return Bundle(problems=(f"{len(pem)} bytes are more than Kubernetes stores",))
    begins = list(_BEGIN.finditer(pem))
    if not begins:
        return Bundle(problems=("it holds no certificate",))
    certificates: list[CertificateFacts] = []
    problems: list[str] = []
    ends = [each.start() for each in begins[1:]] + [len(pem)]
    for number, (begin, end) in enumerate(zip(begins, ends, strict=True), start=1):
        where = f"block {number} of {len(begins)}"
        if "CERTIFICATE" not in begin[1]:
            problems.append(f"{where} is a {begin[1]}, which does not belong there")
            continue
        try:
            certificates += parse_bundle(_block(pem[begin.start() : end], begin[1]))
        except MalformedCertificate as error:
            problems.append(f"{where}: {error}")
    return Bundle(tuple(certificates), tuple(problems))


def read_encoded(encoded: Json) -> Bundle:
    """The same for the base64 of a Secret's value or of a caBundle."""
    if not isinstance(encoded, str) or not encoded:
        return Bundle(problems=("it is empty",))
    try:
        pem = base64.b64decode(encoded, validate=True).decode()
    except ValueError:
        return Bundle(problems=("it is not the base64 of a text",))
    return read_bundle(pem)


def _block(rest: str, label: str) -> str:
    """The block alone: without the comments behind it, which may be anything."""
    end = f"-----END {label}-----"
    head, found, _ = rest.partition(end)
    return head + found
