"""Objectives of services and routes: from objects of a cluster to recording rules and alerts, pure.

facts        what is known of Services, ServiceProfiles and routes
counters     the metrics that count requests, and what they call a success
counting     who counts the requests of a target
wanted       what is asked for, by an AlertPolicy
annotations  what is asked for, by annotations
burn         how fast a budget may burn before somebody is told
queries      the requests of a target, and the good ones among them, as PromQL
slo_rules    recording rules and alerts
custom       rules of one's own
rendering    a policy, or the annotated objects of a namespace, as groups of rules
flips        when somebody else begins to count
"""
