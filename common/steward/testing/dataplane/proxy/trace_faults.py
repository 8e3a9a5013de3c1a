"""What can be broken about the spans that a proxy tells, one behaviour at a time."""

from steward.testing.dataplane.faults import Fault

SPANS_DROPPED = Fault("spans-dropped", "requests that are sampled leave no spans")
UNSAMPLED_TOLD = Fault("unsampled-told", "requests that are not sampled leave spans too")
CONTEXT_NOT_PASSED = Fault("trace-context-not-passed", "a request goes on under the span that it came with")
SPANS_WITHOUT_STATUS = Fault("spans-without-status", "spans do not say how their request was answered")
COLLECTOR_UNREACHABLE = Fault("collector-unreachable", "no connection to the collector of traces comes about")
