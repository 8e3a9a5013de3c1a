"""The decisions of upgrader: pure. No clock, no loop, no logger, no I/O; time and identities are parameters.

orders        what an edge is told to do, and what it answers
observations  what an edge saw for a gate
ports         the edges, as protocols
"""
