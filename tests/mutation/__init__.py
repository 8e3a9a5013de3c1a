"""Whether probes find what is broken: each feature is broken in the simulation, and its probe must say so, and why."""
