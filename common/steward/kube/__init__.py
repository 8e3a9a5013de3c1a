"""Kubernetes as Steward needs it: raw JSON over `kubernetes_asyncio`'s configuration, credentials and transport.

`client` has the verbs, `resources` the handles, `errors` the refusals; `reflector` keeps a cache, `work_queue` orders
the work, `lease` elects one leader, `recorder` writes Events, `portforward` opens a way to a pod.
Nothing outside this package imports `kubernetes_asyncio`.
"""
