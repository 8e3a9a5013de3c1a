"""What the service reaches for: agents, the cluster, the control plane, what is kept in JetStream."""
