"""The simulated Linkerd proxy: real sockets, real TLS and real HTTP, told what to do by values of `config`.

- `stream`, `tls`, `detect`: bytes, mutual TLS on top of them, and guessing what a client speaks;
- `exchange`, `http_server.serve_http(stream, handler, version)`, `http_client.HttpConnection`: HTTP/1.1 and HTTP/2;
- `ports`, `families`: what a proxy asks of its surroundings, and how it declares its metrics;
- `outbound.OutboundProxy`, `inbound.InboundProxy`: the two halves.
"""
