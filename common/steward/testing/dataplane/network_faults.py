"""What can be broken between the pods, each by itself. Scopes name the pod that connects, unless said otherwise."""

from steward.testing.dataplane.faults import Fault

DNS_FAILING = Fault("dns-failing", "no name resolves")
DNS_WILDCARD = Fault("dns-wildcard", "names that nobody has resolve to an address outside of the cluster")
DNS_FORGETS_PODS = Fault("dns-forgets-pods", "names of single pods do not resolve")
REDIRECTION_BROKEN = Fault("redirection-broken", "what the application dials goes past its proxy")
INBOUND_REDIRECTION_BROKEN = Fault("inbound-redirection-broken", "what arrives at a pod (scope) goes past its proxy")
CNI_PLUGIN_MISSING = Fault("cni-plugin-missing", "new pods of a node (scope) are not redirected by the CNI plugin")
INIT_FAILING = Fault("init-failing", "the init container cannot redirect new pods of a node (scope)")
SKIPPED_PORTS_CAUGHT = Fault("skipped-ports-caught", "ports that should go past the proxy go through it")
INJECTOR_OVERLOOKS = Fault("injector-overlooks", "pods (scope: their workload's name) come up without a proxy")
NETWORK_POLICIES_IGNORED = Fault("network-policies-ignored", "NetworkPolicies have no effect")
ADDRESSES_CROSSED = Fault("addresses-crossed", "what is sent to a pod (scope) arrives at another pod of its app")
QUERIES_LOST = Fault("queries-lost", "requests to a pod without a proxy (scope) lose their query on the way")
PARTITIONED = Fault("partitioned", "nothing that a pod sends to another pod arrives")
SLOW_START = Fault("slow-start", "pods are not ready for a while after they run")
