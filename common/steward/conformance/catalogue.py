"""Every feature that can be exercised, as data: what it promises, how it is tried, and how it breaks."""

from functools import cache
from importlib.resources import files

from steward.conformance.results import Safety, Tier
from steward.events.base import Part
from steward.events.conformance import Feature, Rung

FILE = "catalogue.json"


class CauseEntry(Part):
    """One way in which a feature breaks."""

    code: str
    rung: Rung
    message: str
    expected: str
    disproof: str = ""
    remedy: str = ""
    command: str = ""


class FeatureEntry(Part):
    """One feature."""

    feature: Feature
    claim: str
    tier: Tier
    safety: Safety
    security: bool = False
    since: str = ""
    until: str = ""
    needs: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()
    control: str = ""
    steps: tuple[str, ...] = ()
    control_steps: tuple[str, ...] = ()
    causes: tuple[CauseEntry, ...] = ()
    bound_seconds: float = 0

    @property
    def group(self) -> str:
        """The first token of the feature."""
        return self.feature.split(".", 1)[0]


class Catalogue(Part):
    """All of them, by name."""

    features: tuple[FeatureEntry, ...]

    def find(self, feature: str) -> FeatureEntry | None:
        """The entry of that name."""
        return next((each for each in self.features if each.feature == feature), None)

    def meant(self, pattern: str) -> tuple[FeatureEntry, ...]:
        """The entries that a feature, a group (`mtls`) or a part of one (`retry.*`) means."""
        stem = pattern.removesuffix(".*")
        return tuple(each for each in self.features if each.feature == pattern or each.feature.startswith(f"{stem}."))


@cache
def catalogue() -> Catalogue:
    """What this version of Steward can exercise."""
    return Catalogue.model_validate_json((files("steward.conformance") / FILE).read_text())
