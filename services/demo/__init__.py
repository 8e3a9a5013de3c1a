"""What `make run` shows: a cluster with a mesh one release behind, a release that appears, and an upgrade to watch.

The services are the real ones and so is NATS. The cluster is simulated, or with CLUSTER=real a Kubernetes control plane
of its own on loopback, on which real objects roll on nodes that are not there.
"""
