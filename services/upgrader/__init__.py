"""upgrader: leads Linkerd from one version to the next, step by step, and proves each step.

hears    `new-version` and `version-withdrawn`; changes of ReleaseCatalogs, UpgradePlans, UpgradePolicies, UpgradeRuns
         and of the mesh itself
decides  which release is the candidate, which plan leads there, and the one next act of the run that is under way
does     upgrades the control plane by Helm, by the Linkerd CLI or by a change for GitOps; restarts workloads
says     `upgrade-planned` … `upgrade-finished`; the status of runs, plans and policies; Kubernetes Events; metrics
"""
