"""The bus: NATS JetStream behind a few verbs. The only package that imports `nats`.

    settings      where the servers are and who we are
    connection    one connection: policy, errors, API requests
    streams       streams, consumers and buckets as data
    reconcile     what the server has → what the data asks for, never destroying anything
    publishing    an event, stored exactly once
    pulling       requests for messages that survive restarts, leader changes and silence
    lanes         many keys at once, each key in order
    consuming     deliveries → handler → answer
    dead_letters  what was given up, why, and its replay
    asking        what only those hear who listen just now: questions and answers that nothing keeps
    reading       stored events, from wherever you like
    lock          who leads, with a fencing token
    metrics       what is counted
    client        all of it in one object: `Bus`

Learnt by measurement and kept by tests: a time-out on publish means *unknown*; `fetch` sleeps through a restart and
`drain` hangs, so neither is used; a consumer's `backoff` distorts delayed naks, so the delay is computed here; a closed
connection never comes back, so it ends the process.
"""
