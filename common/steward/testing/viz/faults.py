"""How viz can be broken where it is neither an object nor a proxy that is wrong."""

from steward.testing.dataplane.faults import Fault

TAP_REFUSES = Fault("tap-refuses", "the API server tells tap that whoever asks may not (scope: the pod of tap)")
"""Tap asks once more about the right that the API server has asked about already."""
