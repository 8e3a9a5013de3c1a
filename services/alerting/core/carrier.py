"""What carries rules, or routes, to those who act by them: files and a reload, or objects of the operator."""

from typing import Protocol

from services.alerting.core.adoption import Contents, Verdict


class Carrier(Protocol):
    """One way to one target. What it was last shown is in force there, unless it objected."""

    async def good(self) -> Contents:
        """What was last in force, from before a restart too."""
        ...

    async def show(self, contents: Contents) -> Verdict:
        """Put exactly this into force; the words of the target where it refuses, and then keeps what it has.

        Raise `StewardError` where nobody can tell: the target did not answer.
        """
        ...

    async def put_back(self, contents: Contents) -> None:
        """Leave this for a target that does not answer; it is good."""
        ...

    async def keep(self, contents: Contents) -> None:
        """Remember that this is good."""
        ...
