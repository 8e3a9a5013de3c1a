"""The simulated Linkerd proxy: real sockets, real TLS and real HTTP, told what to do by values of `config`.

- `stream`, `tls`, `detect`: bytes, mutual TLS on top of them, and guessing what a client speaks;
- `exchange`, `http_server.serve_http(stream, handler, version)`, `http_client.connect_http(stream, version)`:
  HTTP/1.1 and HTTP/2; how things fail is in `failures`;
- `ports`, `families`: what a proxy asks of its surroundings, and how metrics are declared;
- `outbound.OutboundProxy`: takes what the application sends. `http_way` and `byte_way` carry a connection,
  `route_way` and `profile_way` a request; `target` holds the `balancer` of each backend;
- `inbound.InboundProxy`: takes what arrives;
- `outbound_faults`, `inbound_faults`, `metric_faults`: what can be broken.
"""
