"""The simulated control plane: from objects of the fake Kubernetes API to what the proxies are told."""
