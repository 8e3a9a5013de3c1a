"""A Kubernetes API server for tests: `server.FakeKubernetes` speaks HTTP, `cluster.ClusterState` is its state.

The split: `kinds` and `routes` say what is served where, `endpoints` which verb a request is, `cluster`, `deletion` and
`subresources` what the verbs do, `ownership` (with `fields` and `lists`) server-side apply, `schema` and `custom` the
custom resources, `watch` and `store` versions and history, `faults` and `access` what may go wrong.
"""
