"""Decides what should be in force, and what a refusal means. No clock, loop, logger or I/O."""
