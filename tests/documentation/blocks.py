"""The code blocks of a Markdown page, by the heading that they stand under."""

import re
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"^```(\w*)$")
_HEADING = re.compile(r"^#+ (.+)$")


@dataclass(frozen=True, slots=True)
class Block:
    """One block: its language, its heading, its text."""

    page: str
    heading: str
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}: {self.heading}: {self.text.splitlines()[0][:40]}"


def blocks(page: Path, language: str = "") -> list[Block]:
    """The blocks of a page, in order."""
    found: list[Block] = []
    heading, inside, lines = "", None, list[str]()
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = _FENCE.match(line)
        if fence and inside is None:
            inside, lines = fence[1], []
        elif fence:
            found.append(Block(str(page.name), heading, inside or "", "\n".join(lines) + "\n"))
            inside = None
        elif inside is not None:
            lines.append(line)
        elif title := _HEADING.match(line):
            heading = title[1]
    assert inside is None, f"{page}: the last block is not closed"
    return [block for block in found if language in ("", block.language)]


def commands(block: Block) -> list[str]:
    """The simple commands of a shell block: continued lines joined, pipes and lists taken apart, comments left out."""
    joined = block.text.replace("\\\n", " ").replace("|\n", "| ")
    lines = (re.sub(r"\s+#.*$", "", line).strip() for line in joined.splitlines())
    return [part.strip() for line in lines if line and not line.startswith("#") for part in re.split(r"[|;]|&&", line)]
