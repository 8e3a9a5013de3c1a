"""What drives runs: under the lease, one replica reconciles them, runs probes, keeps results, and tells.

conductor   one ConformanceRun from Pending to its end: observe, decide, write, act once
exercising  the probes of a run, once or again and again
runner      one probe: attempts, control, diagnosis, verdict
playing     the steps of an attempt, one after the other
knowing     states of all features, folded from the stream of results
telling     events, each once
sweeper     namespaces that nobody cleans up
upgrades    what upgrades ask for
"""
