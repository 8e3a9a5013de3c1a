"""The stand-in `linkerd` executable: the answers of Linkerd's command line about a cluster it really looks at.

Run as `python -m steward.testing.linkerd.cli VERSION COMMAND…`, or as the executable that
`steward.testing.linkerd.executable.write_cli` writes for one version. Imports are few on purpose: it starts in a
tenth of a second.
"""
