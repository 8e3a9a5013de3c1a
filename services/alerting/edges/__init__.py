"""What is on the other side: Prometheus, Alertmanager, rule files, the prometheus-operator, the mesh."""
