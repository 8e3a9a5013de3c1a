"""The services of Linkerd Steward. One law for all of them: events in, a pure decision, acts at the edges, events out.

Read a service in this order: its package (what it hears and says), `service`, `core`, `edges`. The arrows point one way
only: `__main__` composes, `service` connects, `edges` touch the world, `settings` say how, `core` decides. Services
never import one another: they meet on the bus and in the status of the custom resources.

`python -m services` runs all of them in one process on a NATS server of their own.
"""

from services.spared import spare_the_terminal

spare_the_terminal()
