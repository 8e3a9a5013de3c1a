"""What to probe, what proves it, and what a failure means. Pure: no clock, loop, logger or I/O."""
