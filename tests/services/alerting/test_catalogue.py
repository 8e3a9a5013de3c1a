"""What the pack asks of Steward's own exporter, and what the exporter has, are the same."""

from services.alerting.metrics import METRICS
from steward.alerting.families import Exposer, catalogue

EXPOSED = {metric.name: metric for metric in METRICS}


def test_every_family_that_the_catalogue_ascribes_to_steward_is_exposed_with_its_type_and_labels() -> None:
    families = [
        family
        for family in catalogue().families.values()
        if any(exposure.by is Exposer.STEWARD for exposure in family.exposures)
    ]
    assert len(families) > 15
    for family in families:
        metric = EXPOSED[family.name]
        assert set(metric.labels) == family.labels, family.name
        assert metric.type.value.lower() == family.kind.value, family.name
