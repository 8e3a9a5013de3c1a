"""The client: one caller a protocol, each of which tells all that it saw."""
