"""Looks at a mesh through `steward.kube`: once (`gather`), all the time (`view`), and at its certificates."""
