"""Why a channel is not in force, and what else is to be said of one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that cannot be as it is asked for."""

    object: str
    """Such as AlertChannel/emojivoto/pager."""
    reason: str
    """CamelCase, stable: what programs react to."""
    message: str
    """What is wrong, as half a sentence that goes on after the object."""
    remedy: str
    """What to do."""

    @property
    def sentence(self) -> str:
        """For people."""
        return f"{self.message}: {self.remedy}"


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is in force, but not as one may think."""

    object: str
    reason: str
    message: str
