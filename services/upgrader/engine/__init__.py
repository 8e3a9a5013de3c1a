"""What turns decisions into deeds: gathers facts, asks `core` for the one next act, carries it out, writes it down.

bell         wakes whoever waits for something to change
caches       the custom resources, kept current
mesh         the mesh as the engine sees it
runs         reading and writing runs, never over somebody else's write
questions    gate → observation → evidence
conductor    one run, from wherever it is to its end
previews     what a run would do
choosing     the candidate, the runs that upgrader begins by itself, what plans and policies say of themselves
telling      transitions → events on the bus, in order, each once
notes        transitions → Kubernetes Events
readings     metrics that follow from the state of things
"""
