"""What upgrader touches, each module named after what is on the other side.

process         subprocesses: argument lists, a small environment, limits, and nothing secret in an error
redaction       what must never be read in a log or an error
helm            releases of Helm, by the `helm` executable
helm_storage    the Secrets in which Helm keeps its releases, for the one act that the executable has no command for
linkerd_cli     the `linkerd` executable of the target version
check_report    what `linkerd check -o json` writes
manifests       rendered manifests as objects, in the order in which they can be applied
apply           manifests put into the cluster by server-side apply
gitops          a change written for the owner of the installation to take
tooling         the target's executable and charts, verified before they are used
"""
