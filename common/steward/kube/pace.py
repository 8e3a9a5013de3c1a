"""How long one watch lasts and how long to wait after one that failed."""

import random
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class WatchPace:
    """The defaults are client-go's: every watch ends by itself after 5 to 10 minutes, so load spreads over servers."""

    least: timedelta = timedelta(minutes=5)
    most: timedelta = timedelta(minutes=10)
    first_wait: timedelta = timedelta(milliseconds=500)
    longest_wait: timedelta = timedelta(seconds=30)

    def lasting(self, chance: random.Random) -> timedelta:
        """For one watch: jittered, or all watches would come back in one instant."""
        return self.least + (self.most - self.least) * chance.random()

    def backoff(self, failures: int, chance: random.Random) -> timedelta:
        """Before the next attempt after so many failures in a row."""
        return min(self.longest_wait, self.first_wait * (1 << min(max(failures, 1) - 1, 16))) * chance.uniform(0.5, 1.0)
