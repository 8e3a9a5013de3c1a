"""OpenSLO: AlertPolicies written as documents of `openslo/v1`, and read from them. Pure.

documents  the frame of all documents, names, durations, and what is lost on the way
writing    an AlertPolicy as documents
reading    documents as AlertPolicies
shelf      all documents by kind and name
claims     which members of a document were read, so that the others can be named
indicators what an SLI measures
alerts     who is told, and by which conditions
conditions burn rates of OpenSLO and the rows that Steward alerts by
policies   objectives of targets, gathered into policies

OpenSLO has no burn rate over two windows and no Kubernetes object for a target (https://github.com/OpenSLO/OpenSLO).
Targets are metric sources of type Linkerd. Whatever does not fit is named: nothing is dropped in silence.
"""
