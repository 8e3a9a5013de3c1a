"""Prometheus and Alertmanager by their HTTP APIs: a few typed questions and orders, their failures in our words."""
