"""Exercises every feature of the mesh with real traffic, for minutes or for months, and says what is broken and why."""
