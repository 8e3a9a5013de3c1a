"""What a proxy exports about its own calls to the control plane: who answered, how, and how many could have."""

from enum import Enum

from steward.testing.dataplane.proxy.metrics import ProxyMetrics

_SERVICE_ACCOUNT = "serviceaccount.identity"
_FAILED_CODES = frozenset({"4", "7", "13", "14", "15"})


class Client(Enum):
    """The three clients in a proxy: their name, whom they dial, and whose identity they expect."""

    IDENTITY = ("identity", "linkerd-identity-headless", 8080, "linkerd-identity")
    DESTINATION = ("destination", "linkerd-dst-headless", 8086, "linkerd-destination")
    POLICY = ("policy", "linkerd-policy", 8090, "linkerd-destination")


class ControlFigures:
    """Told by whoever plays the control plane for this proxy."""

    def __init__(self, metrics: ProxyMetrics, namespace: str = "linkerd", domain: str = "cluster.local") -> None:
        self._metrics = metrics
        self._namespace = namespace
        self._domain = domain
        for client in Client:
            self.endpoints(client, ready=0, pending=0)
            self._begin(client)

    def asked(self, client: Client) -> None:
        """A call began; streams stay open for long, and are answered when they end."""
        self._metrics.count("control_request_total", **self._named(client))
        self._metrics.count(f"control_{client.value[0]}_balancer_queue_requests_total", addr=self._addr(client))
        self._resolved(client)

    def answered(self, client: Client, grpc_status: str = "0", milliseconds: float = 1) -> None:
        """A call ended with a status. Unknown (2) counts as a success here, unlike in the data path."""
        named = self._named(client)
        classification = "failure" if grpc_status in _FAILED_CODES else "success"
        outcome = {"status_code": "200", "classification": classification, "grpc_status": grpc_status, "error": ""}
        self._metrics.count("control_response_total", **outcome, **named)
        self._metrics.observe("control_response_latency_ms", milliseconds, status_code="200", **named)

    def broke(self, client: Client) -> None:
        """A call ended with its connection: nobody there, or nobody who trusts this proxy."""
        outcome = {"classification": "failure", "grpc_status": "", "error": "unclassified"}
        self._metrics.count("control_response_total", **outcome, **self._named(client))

    def endpoints(self, client: Client, *, ready: int, pending: int) -> None:
        """How many pods of the control plane answer; 0 and 0 for the identity client, which connects for each call."""
        prefix, addr = f"control_{client.value[0]}_balancer", self._addr(client)
        self._metrics.gauge(f"{prefix}_endpoints", ready, endpoint_state="ready", addr=addr)
        self._metrics.gauge(f"{prefix}_endpoints", pending, endpoint_state="pending", addr=addr)
        self._metrics.gauge(f"{prefix}_p2c_endpoints", ready + pending, addr=addr)

    def _begin(self, client: Client) -> None:
        name, addr = client.value[0], self._addr(client)
        prefix = f"control_{name}_balancer"
        for operation in ("Reset", "Add", "Remove"):
            self._metrics.count(f"{prefix}_p2c_updates_total", 0, op=operation, addr=addr)
        self._metrics.gauge(f"{prefix}_queue_length", 0, addr=addr)
        self._metrics.count(f"{prefix}_queue_requests_total", 0, addr=addr)
        for gate in ("open", "shut"):
            self._metrics.count(f"{prefix}_queue_gate_{gate}_total", 0, addr=addr)
        for record in ("SRV", "A/AAAA"):
            for result in ("ok", "not_found"):
                labels = {"record_type": record, "result": result}
                self._metrics.count("control_dns_resolutions_total", 0, client=name, **labels)

    def _resolved(self, client: Client) -> None:
        self._metrics.count("control_dns_resolutions_total", client=client.value[0], record_type="SRV", result="ok")

    def _addr(self, client: Client) -> str:
        _, service, port, _ = client.value
        return f"{service}.{self._namespace}.svc.{self._domain}:{port}"

    def _named(self, client: Client) -> dict[str, str]:
        account = client.value[3]
        server = f"{account}.{self._namespace}.{_SERVICE_ACCOUNT}.{self._namespace}.{self._domain}"
        return {"addr": self._addr(client), "tls": "true", "server_id": server}
