"""What an exerciser is told by its environment."""

from datetime import timedelta
from pathlib import Path

import pytest

from services.conformance.core.stage import Port
from services.conformance.exerciser.settings import ExerciserSettings, Role
from steward.errors import ConfigurationError


def test_variables_say_who_an_exerciser_is() -> None:
    settings = ExerciserSettings.load(
        {
            "STEWARD_BUS__SERVERS": "nats://a:4222,nats://b:4222",
            "STEWARD_BUS__PASSWORD": "secret",
            "STEWARD_BUS__USER": "agent",
            "STEWARD_EXERCISER__RUN": "quick-1",
            "STEWARD_EXERCISER__POD": "cm-0",
            "STEWARD_EXERCISER__ROLES": "agent",
            "STEWARD_EXERCISER__PORTS": "http=18080, server-first=0",
            "STEWARD_EXERCISER__SPARE_PORTS": "true",
            "STEWARD_EXERCISER__SPOOL": "/var/spool",
            "STEWARD_EXERCISER__LINGER": "1.5",
            "STEWARD_CLUSTER__NAMESPACE": "somebody else's",
            "HOME": "/",
        }
    )
    who = settings.exerciser
    assert settings.bus.servers == ("nats://a:4222", "nats://b:4222")
    assert (who.run, who.pod, who.roles, who.spool) == ("quick-1", "cm-0", (Role.AGENT,), Path("/var/spool"))
    assert (who.port(Port.HTTP), who.port(Port.SERVER_FIRST), who.port(Port.TCP)) == (18080, 0, 8084)
    assert (who.spare_ports, who.linger) == (True, timedelta(seconds=1.5))


def test_an_exerciser_serves_and_takes_orders_unless_told_otherwise() -> None:
    assert ExerciserSettings.load({}).exerciser.roles == (Role.SERVE, Role.AGENT)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("STEWARD_EXERCISER__ROLES", "cook"),
        ("STEWARD_EXERCISER__PORTS", "http=99999"),
        ("STEWARD_EXERCISER__PORTS", "gopher=70"),
        ("STEWARD_EXERCISER__LISTEN", "everywhere"),
        ("STEWARD_EXERCISER__MOST_PER_SECOND", "0"),
        ("STEWARD_EXERCISER__UNKNOWN", "x"),
        ("STEWARD_BUS__SERVERS", "http://x"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        ExerciserSettings.load({name: value})
