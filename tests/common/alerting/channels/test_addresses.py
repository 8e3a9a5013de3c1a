"""Addresses: what is let through, Alertmanager loads."""

import asyncio

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from steward.alerting.channels.plain import rendered
from steward.jsonvalue import JsonObject
from steward.resources.alert_channel import AlertChannel
from steward.testing.monitoring.tools import Generation, MonitoringTools
from steward.testing.monitoring.verdict import Amtool
from steward.yamlvalue import render_yaml
from tests.common.alerting.channels.specimens import CURRENT, HOME, OLD, channel, target

VERSIONS = {Generation.CURRENT: CURRENT, Generation.OLD: OLD}
parts = st.sampled_from(
    (
        "a",
        "acme.org",
        "10.0.0.1",
        "[::1]",
        "[fe80::1%25eth0]",
        "::1",
        ":",
        "/",
        "//",
        "?",
        "#",
        "%20",
        "%",
        "%zz",
        "@",
        "ü",
    )
) | st.text(st.characters(codec="utf-8"), max_size=3)
urls = st.builds(
    "{}{}".format,
    st.sampled_from(("http://", "https://", "http:///", "HTTP://")),
    st.lists(parts, max_size=6).map("".join),
)
smarthosts = st.builds("{}:{}".format, st.lists(parts, max_size=3).map("".join), st.integers(0, 70_000))
addresses = st.builds(
    "{}@{}".format, st.lists(parts, min_size=1, max_size=3).map("".join), st.lists(parts, max_size=3).map("".join)
)


def as_far_as_the_schema_lets(name: str, spec: JsonObject) -> list[AlertChannel]:
    try:
        return [channel(HOME, name, **spec)]
    except ValidationError:
        return []


# What fails is told by amtool; making the lists of it shorter would ask amtool for an hour.
@settings(max_examples=6, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(
    hooks=st.lists(urls, min_size=40, max_size=60),
    hosts=st.lists(smarthosts, min_size=40, max_size=60),
    mails=st.lists(addresses, min_size=40, max_size=60),
)
def test_every_address_that_is_not_refused_loads(
    hooks: list[str], hosts: list[str], mails: list[str], each_monitoring_tools: MonitoringTools
) -> None:
    channels = [
        *(
            found
            for n, url in enumerate(hooks)
            for found in as_far_as_the_schema_lets(f"h{n}", {"webhook": {"url": url}})
        ),
        *(
            found
            for n, (host, mail) in enumerate(zip(hosts, mails, strict=False))
            for found in as_far_as_the_schema_lets(
                f"m{n}", {"email": {"to": [mail], "sender": "a@b.c", "smarthost": host}}
            )
        ),
        *as_far_as_the_schema_lets("sure", {"webhook": {"url": "http://[::1]:9/a?b=%20#c"}}),
    ]
    found = rendered(channels, target(VERSIONS[each_monitoring_tools.generation]))
    assert f"{HOME}/sure" in {str(each.channel) for each in found.outlets}
    verdict = asyncio.run(Amtool(each_monitoring_tools).check_config(render_yaml(found.document)))
    assert verdict.ok, verdict.output
