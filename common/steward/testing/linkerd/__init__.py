"""A Linkerd to test against: its objects, its injector, its command line and a whole simulated mesh.

The stand-ins have the names, labels, annotations, ports, webhooks and answers of the real thing, and none of its
code. Start from what you need:

- `steward.testing.linkerd.mesh`: `SimulatedMesh`, a mesh with rolling workloads on a fake Kubernetes API;
- `steward.testing.linkerd.manifests`: the objects of an installation, for any API server;
- `steward.testing.linkerd.charts`: the same as Helm charts;
- `steward.testing.linkerd.executable`: a `linkerd` executable with the CLI's answers;
- `steward.testing.linkerd.injection`: what the proxy injector does to one pod, as a pure function;
- `steward.testing.linkerd.certificates`: throw-away trust anchors, issuers and webhook certificates;
- `steward.testing.linkerd.feed`: a release feed that can be switched while it serves.
"""
