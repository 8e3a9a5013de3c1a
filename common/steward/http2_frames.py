"""Where the frames of an HTTP/2 connection begin and end, so that GOAWAY can be taken out of what arrives.

The library `h2` takes a GOAWAY for the end of everything, although streams up to the number that it names go on, and
answers whatever comes after it with an error. Whoever reads with `h2` therefore acts upon such frames by itself.
"""

from steward.errors import StewardError

_HEAD = 9
_GOAWAY = 0x07
_LONGEST = 262_144
_SHOWN = 40
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class NotHttp2(StewardError):
    """What arrives is no frame of HTTP/2."""


class Frames:
    """What arrives on one connection; a server begins with the `preface` of its client."""

    def __init__(self, *, preface: bool) -> None:
        self._skip = len(_PREFACE) if preface else 0
        self._kept = b""
        self.last_stream: int | None = None
        """The highest stream that the other side still looks at, once it has said that it goes away."""

    def without_goaway(self, data: bytes) -> bytes:
        """Whole frames, but for GOAWAY; the beginning of the next one is kept for later. Raises NotHttp2."""
        passed, self._kept = bytearray(), self._kept + data
        if self._skip:
            # What is no preface is h2's to complain about.
            passed += self._kept[: self._skip]
            self._kept, self._skip = self._kept[self._skip :], max(0, self._skip - len(self._kept))
        at = 0
        while len(self._kept) - at >= _HEAD:
            end = at + _HEAD + int.from_bytes(self._kept[at : at + 3], "big")
            if end - at > _HEAD + _LONGEST:
                # h2 would wait for the rest of it, which never comes.
                raise NotHttp2(f"what came is no frame of HTTP/2: it begins with {self._kept[at:][:_SHOWN]!r}")
            if len(self._kept) < end:
                break
            if self._kept[at + 3] == _GOAWAY:
                self.last_stream = int.from_bytes(self._kept[at + _HEAD : at + _HEAD + 4], "big") & 0x7FFF_FFFF
            else:
                passed += self._kept[at:end]
            at = end
        self._kept = self._kept[at:]
        return bytes(passed)
