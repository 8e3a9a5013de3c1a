"""`alerts`: what fires and who is told, what is in force, channels and their tests, silences, policies in the making.

app        which command is where
reach      Alertmanager and Prometheus, by address or by a port-forward of our own
current    alerts as Alertmanager has them
incidents  alerts as the bus told them: when they began and when they ended
objects    AlertPolicies and AlertChannels, and what became of them
"""
