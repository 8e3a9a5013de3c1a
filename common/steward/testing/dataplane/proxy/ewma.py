"""How slow an endpoint is thought to be: rises at once, falls with time, and is forgotten when nothing is heard."""

from math import exp

_FIRST_GUESS = 0.030
_DECAY = 10.0


class PeakEwma:
    """Seconds of a response, as a peak-sensitive moving average. Times are of a monotonic clock."""

    def __init__(self, now: float) -> None:
        self._value = _FIRST_GUESS
        self._at = now

    def observe(self, seconds: float, now: float) -> None:
        """A response took so long."""
        kept = exp(-(now - self._at) / _DECAY)
        self._value = seconds if seconds > self._value else self._value * kept + seconds * (1 - kept)
        self._at = now

    def value(self, now: float) -> float:
        """What the next response is expected to take."""
        return self._value * exp(-(now - self._at) / _DECAY)
