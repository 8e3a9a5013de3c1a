"""version_watcher: notices releases of Linkerd, and meshes that are not what they should be.

hears   its timers; changes of the cluster, of the ReleaseCatalog and of its sources
says    new-version, version-withdrawn, mesh-drifted: each once, over restarts, lost answers and replicas
acts    nowhere but on the status of the ReleaseCatalog, which is the truth; events follow from it

Read `service` first, then `core.decide`, then the edges.
"""
