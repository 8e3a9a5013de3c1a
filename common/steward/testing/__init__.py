"""The test kit, for us and for whoever builds on Steward: real parts where they run anywhere, honest fakes elsewhere.

    nats                private NATS servers and clusters, the real thing
    kubernetes          an API server that is simulated, with faults on demand
    linkerd             a mesh that is simulated, a stand-in `linkerd`, a feed of releases
    cluster             a real Kubernetes control plane on loopback
    clock, events       a clock that stands still, events with every member filled in
    command             the command line as people run it
    plugin              all of it as pytest fixtures

Whatever is faked passes the contract suite that the real thing passes.
"""
