"""conformance: exercises every feature of the mesh with real traffic, for minutes or for months, and says what is
broken and why.

hears    `upgrade-started`, `upgrade-step-done`, `upgrade-finished`; changes of ConformanceRuns and ConformanceSuites
decides  what a run does next; whether a feature works, how sure that is, and why it does not
does     brings up clients and servers in namespaces of its own, lets them talk through the mesh, and takes them away
says     `conformance-failed`, `conformance-recovered`, `conformance-run-finished`; results, states, reports; metrics
"""
