"""The chassis: what every service of ours runs on. Settings, logs, metrics, health, trace context, start and drain."""
