"""What a release note says about using its own release: an edit made by hand, often weeks after the release.

There is no structured field, so only a plain statement whose subject is this release counts. Whatever is doubtful,
contradictory or about something else is Unknown, which is never a yes.
"""

import re
from dataclasses import dataclass

from steward.events.versions import Recommendation
from steward.linkerd.version import Version

LONGEST_BODY = 200_000
LONGEST_REASON = 500

_NOISE = re.compile(r"<!--.*?-->|```.*?```|~~.*?~~", re.DOTALL)
_TAG = re.compile(r"\b(?:edge|stable|enterprise)-\d+(?:\.\d+)+(?:-\d+)?\b")
# A line of a generated change list quotes the title of a change, which is no statement about the release.
_CHANGE = re.compile(r"^\s*[*+-]\s.*(?:\bby @|/pull/\d|\(#\d+\))")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z*_>\[⚠✅❌])")
_MARKUP = re.compile(r"[*_`>#|\[\]]|⚠️?|✅|❌|:[a-z_]+:")

_SUBJECT = r"(?:this|the)\s+(?:edge\s+|edge-|stable\s+)?(?:release|version|edge)"
_NEGATIVE = (
    re.compile(rf"^(?:{_SUBJECT}|@)\s+(?:is|was)\s+(?:currently\s+|therefore\s+|now\s+)?not\s+(?:a\s+)?recommended\b"),
    re.compile(rf"^(?:{_SUBJECT}|@)\s+(?:should|must)\s+not\s+be\s+used\b"),
    re.compile(rf"\b(?:do\s+not|don't|please\s+avoid|avoid)\s+(?:use|using|upgrade\s+to|deploy)\s+(?:{_SUBJECT}|@)\b"),
    re.compile(rf"\b(?:we\s+)?(?:do\s+not|don't|cannot|no\s+longer)\s+recommend\s+(?:using\s+)?(?:{_SUBJECT}|@)(?!\w)"),
    re.compile(r"^(?:warning|caution|note|status|recommendation)?[\s:!-]*not\s+recommended\b"),
)
_POSITIVE = (
    re.compile(rf"^(?:{_SUBJECT}|@)\s+(?:is|was)\s+(?:now\s+)?(?:a\s+)?recommended(?!\s+(?:against|not))\b"),
    re.compile(rf"\bwe\s+recommend\s+(?:using\s+|upgrading\s+to\s+)?(?:{_SUBJECT}|@)(?!\w)"),
    re.compile(r"^(?:status|recommendation)?[\s:!-]*recommended\s*[.!]?$"),
)
_DOUBT = re.compile(r"\?\s*$|\b(?:if|unless|until|may|might|whether|would)\b.*\brecommended\b")
_INSTEAD = re.compile(r"\b(?:instead|use|upgrade\s+to|superseded\s+by|replaced\s+by|prefer|recommend)\b")


@dataclass(frozen=True, slots=True)
class Advice:
    """What the note says, and the words in which it says so."""

    recommendation: Recommendation
    reason: str = ""
    superseded_by: str = ""


UNKNOWN = Advice(Recommendation.UNKNOWN)


def read_advice(release: Version, body: str) -> Advice:
    """What `body` says of `release`."""
    sentences = _sentences(body[:LONGEST_BODY])
    against = [index for index, each in enumerate(sentences) if _says(each, release, _NEGATIVE)]
    favour = [index for index, each in enumerate(sentences) if _says(each, release, _POSITIVE)]
    if against and favour:
        return Advice(Recommendation.UNKNOWN, "The release notes say that it is recommended and that it is not.")
    if favour:
        return Advice(Recommendation.RECOMMENDED, sentences[favour[0]][:LONGEST_REASON])
    if not against:
        return UNKNOWN
    first = against[0]
    instead = _instead(sentences[first : first + 3], release)
    return Advice(Recommendation.NOT_RECOMMENDED, sentences[first][:LONGEST_REASON], instead)


def _sentences(body: str) -> list[str]:
    """Paragraph by paragraph, without code, struck-out text, comments and change lists."""
    found: list[str] = []
    for line in _NOISE.sub(" ", body.replace("\r\n", "\n")).split("\n"):
        if _CHANGE.search(line):
            continue
        plain = " ".join(_MARKUP.sub(" ", line).split()).lstrip("-+ ").strip()
        if plain:
            found.extend(part.strip() for part in _SENTENCE.split(plain) if part.strip())
    return found


def _says(sentence: str, release: Version, patterns: tuple[re.Pattern[str], ...]) -> bool:
    """Whether the sentence makes one of the statements about `release`: its own tag is written as `@`."""
    own = _TAG.sub(lambda match: "@" if Version.maybe(match.group()) == release else match.group(), sentence)
    text = own.lower().removeprefix("warning:").removeprefix("warning").strip(" :!-")
    if _DOUBT.search(text):
        return False
    return any(pattern.search(text) for pattern in patterns)


def _instead(sentences: list[str], release: Version) -> str:
    """The release that the statement, or what follows it, names as the one to use."""
    for sentence in sentences:
        if not _INSTEAD.search(sentence.lower()):
            continue
        for match in _TAG.finditer(sentence):
            other = Version.maybe(match.group())
            if other is not None and other != release:
                return str(other)
    return ""
