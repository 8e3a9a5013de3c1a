"""Foreign programs that tests need, gathered once into a cache outside the checkout.

    settings.py  where the cache is and what the environment says
    shelf.py     one folder of the cache: keyed, locked, filled elsewhere and renamed, complete or not there
    recipe.py    what one `go build` makes, and the versions that it stamps
    toolbox.py   a shelf that is filled from pinned Go modules

Each toolbox has a key and a lock of its own: another Prometheus builds no other Kubernetes.
"""
