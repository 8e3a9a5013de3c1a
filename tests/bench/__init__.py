"""Measurements of Linkerd Steward beside its peers; `python -m tests.bench` prints them."""
