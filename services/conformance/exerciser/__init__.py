"""The application whose traffic is judged: an echo server of every protocol, and an agent that makes calls."""
