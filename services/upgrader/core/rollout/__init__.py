"""Proxies are rolled forward by restarting workloads: which of them, in which order, and how each is proven. Pure.

wishes     what people ask for, by annotation and label, on the workload and its namespace
proof      is a pod on the target, is it on its way, or did it come back wrong
standing   where one workload stands
progress   where all of them stand, and which are restarted next
"""
