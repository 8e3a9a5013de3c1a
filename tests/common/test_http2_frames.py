"""GOAWAY is taken out of what arrives on an HTTP/2 connection, wherever the pieces of it are cut."""

import pytest
from hyperframe.frame import DataFrame, Frame, GoAwayFrame, PingFrame

from steward.http2_frames import Frames, NotHttp2

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PING, DATA = PingFrame(0, b"12345678"), DataFrame(5, b"x" * 100)
GOAWAY = GoAwayFrame(0, last_stream_id=5, error_code=0, additional_data=b"so long")


def wire(*frames: Frame) -> bytes:
    return b"".join(frame.serialize() for frame in frames)


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize("preface", [True, False])
def test_everything_passes_but_goaway(size: int, preface: bool) -> None:
    begin = PREFACE if preface else b""
    arriving = begin + wire(PING, GOAWAY, DATA, GOAWAY, PING)
    frames = Frames(preface=preface)
    passed = b"".join(frames.without_goaway(arriving[at : at + size]) for at in range(0, len(arriving), size))
    assert passed == begin + wire(PING, DATA, PING)
    assert frames.last_stream == 5


def test_who_does_not_go_away_has_no_last_stream() -> None:
    frames = Frames(preface=False)
    assert frames.without_goaway(wire(PING, DATA)) == wire(PING, DATA)
    assert frames.last_stream is None


def test_what_is_longer_than_any_frame_is_no_http2() -> None:
    with pytest.raises(NotHttp2, match="begins with b'HTTP"):
        Frames(preface=False).without_goaway(b"HTTP/1.1 400 Bad Request\r\n\r\n")
