"""Linkerd's proxy API, as far as Steward asks it: what destination and policy tell the proxies.

The `.proto` files hold only the messages and fields that are read or served here; numbers and names of packages and
services are those of the wire. `make proto` writes the `_pb2` modules from them.
"""
