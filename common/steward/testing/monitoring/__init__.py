"""Real Prometheus and Alertmanager for tests, on loopback, and the places that their notifications go to.

    tools.py         the four programs, in two generations: current ones built from Go modules, and Debian's old ones
    debian.py        where the old ones come from
    daemon.py        a program with a page: started, waited for, killed, started again on the same port and store
    prometheus.py    a private Prometheus with rules and fixed targets
    alertmanager.py  a private Alertmanager
    verdict.py       promtool and amtool: what they say of rules, unit tests, configurations and routes
    waiting.py       waiting for what another process will say
    inbox.py         what arrived, and waiting for what has not
    webhooks.py      a place that takes JSON posts: Slack, PagerDuty, Teams, any webhook; answers badly on demand
    mail.py          a place that takes mail, with STARTTLS and a password where wanted

    async with WebhookSink() as sink, Alertmanager(tools, configuration(sink.url)) as alertmanager:
        async with Prometheus(tools, PrometheusOptions(rules=folder, alertmanagers=(alertmanager.url,))):
            post = await sink.until(lambda post: post.path == "/pages", within=timedelta(seconds=60))

Linux only: the programs die with their parent.
"""
