"""A simulated Linkerd data plane: real sockets, protocols and mutual TLS, every behaviour breakable by itself."""
