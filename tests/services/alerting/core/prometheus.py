"""Targets as a Prometheus tells them: recorded from a real one (3.12; 2.42 has the same members), and made to measure.

What was recorded: an identity controller, its proxy, and three proxies in namespace shop, of which web-5d-1 answers,
web-5d-2 refuses with 403 and cart-9c-1 does not listen.
"""

import json
from pathlib import Path

from steward.alerting.targets import Target, targets_in
from steward.jsonvalue import Json, JsonObject

_RECORDED = Path(__file__).parent / "recorded"
_META = "__meta_kubernetes_"


def recorded(name: str) -> Json:
    """The answer of `/api/v1/targets?state=active` under the scrape configuration of that name."""
    found: Json = json.loads((_RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def target(
    job: str,
    *,
    pod: str = "",
    namespace: str = "",
    address: str = "10.0.0.1:4191",
    health: str = "up",
    error: str = "",
    labels: dict[str, str] | None = None,
    discovered: dict[str, str] | None = None,
    pool: str = "",
) -> JsonObject:
    """One active target; `discovered` are labels of Kubernetes' discovery without what they all begin with."""
    found: dict[str, Json] = {f"{_META}{name}": value for name, value in (discovered or {}).items()}
    known = {"namespace": namespace, "pod": pod} if pod else {}
    return {
        "discoveredLabels": found,
        "labels": {"job": job, "instance": address, **known, **(labels or {})},
        "scrapePool": pool or job,
        "scrapeUrl": f"http://{address}/metrics",
        "lastError": error,
        "health": health,
    }


def answer(*targets: Json) -> Json:
    """The answer with these targets."""
    return {"status": "success", "data": {"activeTargets": list[Json](targets), "droppedTargets": []}}


def read(*targets: JsonObject) -> tuple[Target, ...]:
    """The same, read."""
    return targets_in(answer(*targets))
