"""`alerts`: what fires and who is told, what is in force, channels and their tests, silences, policies in the making.

    group       the group, whose commands are imported when somebody asks for them
    app         which command is where
    reach       Alertmanager and Prometheus, by address or by a port-forward of our own
    completing  what the shell is offered

    status, listing, explaining    how things stand: of all, of each alert, of one
    past                           how they stood, and as they change
    objects                        AlertPolicies and AlertChannels of the cluster, and what became of them
    packs                          what is shipped, and what to do about it
    checking, renders, routes      what would be refused, in force, told; of the cluster or of files
    trying                         one real alert to one channel
    policies, channels, openslo    policies and channels in the making
    silences                       tell nobody for a while

Everything that decides or draws is pure and stands beside: standing, current, explained, incidents, packed, judged,
routed, trial, deliveries, matchers, schemas.
"""
