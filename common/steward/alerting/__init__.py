"""What alerting is about, for everybody who writes, renders or reads alerts: pure, without clock, loop or I/O.

promql      texts that go into a query, and cannot change it
reading     which metrics a query reads, whoever wrote it
rules       recording and alerting rules, whatever the form in which they are installed
monitoring  what was detected of the Prometheus and Alertmanager that carry them
families    which metrics each version of Linkerd exposes
pack        the policy for the control plane, as data in `shipped/`, and what keeps which of its alerts quiet
rendering   its rules for one monitoring and one policy, and why some are left out
blindness   which alerts cannot fire, because their metrics are missing
runbooks    what to do about each alert
spans       from which Linkerd on a rule has its metrics
objectives  of services and routes: their rules, from an AlertPolicy or from annotations
policy_rules
            a whole AlertPolicy as rules
targets     what a Prometheus scrapes, as it says itself
scrape_detection
            who wrote its scrape configuration, told by these
openslo     AlertPolicies as documents of OpenSLO, and back
channels    AlertChannels as Alertmanager's configuration
inhibition  which alerts keep others quiet
matching    whether an alert fits matchers
routing     who would be told of an alert, and why
webhook     what Alertmanager posts
told        the same as transitions, each of them once
standing    which of our own alerts last, and what Alertmanager is to be told
silences    what an upgrade in progress silences
"""
