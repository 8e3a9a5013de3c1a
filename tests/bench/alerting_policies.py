"""How long five hundred AlertPolicies hold the event loop of alerting up: when they come, and when one of them changes.

The peer is one `json.dumps` of the rules that are in force.
"""

from steward.jsonvalue import Json, JsonObject
from tests.bench.alerting_process import Alerting, Around, surroundings
from tests.bench.alerting_start import dumped
from tests.bench.passes import Busy
from tests.bench.row import Row

POLICIES = 500
A_NAMESPACE = 10


async def measure(policies: int = POLICIES) -> list[Row]:
    """The longest pass of the loop in each phase."""
    async with surroundings() as around:
        for number in range(policies):
            around.world.service(f"app-{number}", _namespace(number))
            around.world.policy(f"policy-{number}", _spec(number), _namespace(number))
        async with Alerting.running(around.world) as alerting:
            start = await alerting.until(lambda said: said.get("applied", 0) >= policies)
            began = await alerting.busy()
            worked = alerting.processor
            change = await _change(around, alerting)
            changed = await alerting.busy()
            peer = dumped(around.world.folder / "rules") * 1000
            name = f"alerting with {policies} AlertPolicies"
            return [
                Row(f"{name}: start until in force", "s", start),
                Row(f"{name}: a change until in force", "s", change),
                Row(f"{name}: a change, processor time", "s", alerting.processor - worked),
                Row(f"{name}: memory", "MB", alerting.memory()),
                *_passes(f"{name}: longest pass of the loop, start", began, peer),
                *_passes(f"{name}: longest pass of the loop, a change", changed, peer),
            ]


async def _change(around: Around, alerting: Alerting) -> float:
    rules = (await alerting.metrics())["rules"]
    around.world.policy("policy-0", _spec(0, further="Further"), _namespace(0))
    return await alerting.until(lambda said: said.get("rules", 0) > rules)


def _passes(name: str, busy: Busy, peer: float) -> list[Row]:
    ours, clock = busy.processor * 1000, busy.clock * 1000
    return [
        Row(f"{name}, processor time", "ms", ours, "json.dumps", peer, peer / ours),
        Row(f"{name}, on the clock", "ms", clock, "json.dumps", peer, peer / clock),
    ]


def _namespace(number: int) -> str:
    return f"team-{number // A_NAMESPACE}"


def _spec(number: int, further: str = "") -> JsonObject:
    names = ("Stalled", "Slow", *((further,) if further else ()))
    own: list[Json] = [{"name": name, "expr": f"jobs_of_app_{number} > {at}"} for at, name in enumerate(names)]
    return {
        "targets": [{"kind": "Service", "name": f"app-{number}"}],
        "objectives": [
            {"name": "success", "successPercent": 99.9},
            {"name": "latency", "latency": {"withinMilliseconds": 500, "percent": 99}},
        ],
        "rules": own,
    }
