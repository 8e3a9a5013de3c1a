"""Property tests without deadlines: a busy machine is slow, and that says nothing about the code."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
