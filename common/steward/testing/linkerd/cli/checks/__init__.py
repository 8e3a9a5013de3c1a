"""The checks of `linkerd check`, one module for each part of an installation they look at."""
