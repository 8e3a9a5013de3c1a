"""Keeps the mesh watched: rules and routes from policies and channels, alerts as events, events as alerts.

Hears: every event of Steward's; AlertPolicies, AlertChannels, ServiceProfiles and routes; Alertmanager's webhook.
Says: `alert-firing`, `alert-resolved`, `alert-policy-applied`. Touches: rule files or PrometheusRules, Alertmanager's
configuration, its alerts and silences; nothing of Linkerd's.
"""
