"""OpenTelemetry's protocol for traces, as far as it is read and sent here: what proxies tell a collector.

`trace.proto` holds only the messages and fields that are needed; their numbers are those of the wire. The package is
our own, so that whoever has OpenTelemetry's classes in the same process may keep them. `make proto` writes the `_pb2`
module from it.
"""

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
"""The call by which spans are told."""
