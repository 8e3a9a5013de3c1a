"""The default suite on the simulated mesh, the service in a process of its own: what it takes, and what it says."""
