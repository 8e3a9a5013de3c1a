"""The extension viz of the simulated mesh: tap, on a real socket behind the API server, and the injector of tap."""
