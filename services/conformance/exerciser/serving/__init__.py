"""The echo server: every protocol that a mesh carries, one contract of queries."""
