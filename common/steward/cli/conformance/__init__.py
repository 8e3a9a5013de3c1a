"""`conformance`: exercise every feature of the mesh, follow it, and read what was found and why."""
