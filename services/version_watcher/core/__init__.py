"""The decisions of version_watcher: pure. Time is a parameter.

reading       what a source gave, or why it gave nothing
feed          the version-check document, each key for itself
history       a channel's head, which never goes back
advice        what a release note recommends of its own release
notes         the list of releases with their notes
helm_index    the repository index: charts, Kubernetes versions, digests
merge         shipped < upstream < what people write
mesh          an inventory as the status shows it; when a difference is worth saying
conditions    the conditions of the status
telling       what kubectl describe tells of a change
announce      which events a status owes, and with which ids
decide        (status, what was seen, now) → the next status
"""
