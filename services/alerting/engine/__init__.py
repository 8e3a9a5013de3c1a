"""The loops: look at the monitoring, apply what is wanted, hear events and webhooks, say what became of it all."""
