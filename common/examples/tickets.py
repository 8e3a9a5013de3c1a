"""A ticket for every upgrade step that nobody will try again.

Run it with `python tickets.py`, or with `linkerd-steward handlers run tickets:subscriber`. It needs two variables:
`STEWARD_BUS__SERVERS`, the NATS servers, and `TRACKER_URL`, where the ticket tracker takes a POST.
"""

import asyncio
import json
import os
from datetime import timedelta
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from steward import EventContext, Reject, Retry, Subscriber, UpgradeStepFailed

subscriber = Subscriber("acme-tickets", max_deliver=100)


@subscriber.on(UpgradeStepFailed)
async def open_ticket(event: UpgradeStepFailed, context: EventContext) -> None:
    """Returning is done, `Retry` comes again, `Reject` goes to the dead letters."""
    if event.will_retry:
        return
    ticket = {
        "title": f"Linkerd upgrade {event.run}: {event.step} failed on {context.cluster}",
        "body": f"{event.message}\n\nfrom {event.from_version} to {event.to_version}, reason {event.reason}",
        # An event may come twice: the tracker keeps one ticket a reference.
        "reference": context.id,
    }
    status = await asyncio.to_thread(post, os.environ["TRACKER_URL"], ticket)
    if status in {0, 429} or status >= 500:
        raise Retry(timedelta(seconds=min(2**context.attempt, 300)), f"the tracker is busy ({status})")
    if status >= 400 and status != 409:
        raise Reject(f"the tracker refused the ticket with {status}")


def post(url: str, ticket: dict[str, str]) -> int:
    """The HTTP status; 0 where nobody answers."""
    request = Request(url, json.dumps(ticket).encode(), {"content-type": "application/json"})
    try:
        with urlopen(request, timeout=10) as response:
            return int(response.status)
    except HTTPError as error:
        error.close()
        return error.code
    except (URLError, TimeoutError):
        return 0


if __name__ == "__main__":
    subscriber.main()
