"""What services never show on a terminal is not loaded: 4 MB of each, and a seventh of their start.

structlog and httpx take rich, click and pygments where they find them, for colourful tracebacks and a command line of
httpx's own. They are imported here as if these were not installed; whoever wants them later gets them.
"""

import sys
from importlib import import_module

_TERMINAL = ("rich", "click", "pygments")
_TAKERS = ("structlog", "httpx")


def spare_the_terminal() -> None:
    """Import the takers without what they would take; nothing is done where somebody has loaded either already."""
    if any(name in sys.modules for name in (*_TERMINAL, *_TAKERS)):
        return
    for name in _TERMINAL:
        sys.modules[name] = None  # type: ignore[assignment] # how Python itself marks what cannot be imported
    try:
        for name in _TAKERS:
            import_module(name)
    finally:
        for name in _TERMINAL:
            del sys.modules[name]
