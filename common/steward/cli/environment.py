"""What the command line reads from the environment, once."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables that change what a command does, and whether somebody looks at it."""

    kubeconfig: str = ""
    """KUBECONFIG: files, separated as in PATH."""
    home: Path | None = None
    """Where `.kube/config` is looked for."""
    in_cluster: bool = False
    """KUBERNETES_SERVICE_HOST is there: this is a pod."""
    linkerd_namespace: str = ""
    """LINKERD_NAMESPACE."""
    nats: str = ""
    """STEWARD_NATS: servers, separated by commas."""
    alertmanager: str = ""
    """STEWARD_ALERTMANAGER: its address."""
    prometheus: str = ""
    """STEWARD_PROMETHEUS: its address."""
    user: str = ""
    """USER, or LOGNAME: who is said to have made a silence."""
    bus: Mapping[str, str] = field(default_factory=dict)
    """STEWARD_BUS__…: the bus described as for a service; with STEWARD_BUS__SERVERS, the way there too."""
    columns: str = ""
    """COLUMNS: the width of output that goes to no terminal."""
    output_is_terminal: bool = False
    input_is_terminal: bool = False

    @classmethod
    def read(cls, variables: Mapping[str, str] | None = None) -> "Environment":
        """The environment of this process."""
        given = os.environ if variables is None else variables  # noqa: TID251 (this is the settings class)
        home = given.get("HOME", "")
        return cls(
            kubeconfig=given.get("KUBECONFIG", ""),
            home=Path(home) if home else None,
            in_cluster=bool(given.get("KUBERNETES_SERVICE_HOST")),
            linkerd_namespace=given.get("LINKERD_NAMESPACE", ""),
            nats=given.get("STEWARD_NATS", ""),
            alertmanager=given.get("STEWARD_ALERTMANAGER", ""),
            prometheus=given.get("STEWARD_PROMETHEUS", ""),
            user=given.get("USER") or given.get("LOGNAME", ""),
            bus={name: value for name, value in given.items() if name.startswith("STEWARD_BUS__")},
            columns=given.get("COLUMNS", ""),
            output_is_terminal=sys.stdout.isatty(),
            input_is_terminal=sys.stdin.isatty(),
        )
