"""Channels as Alertmanager takes them: receivers, routes and inhibitions. Pure; no secret is ever seen here.

refused    why a channel is not in force, and what else is to be said of it
features   what which version of Alertmanager can be told
secrets    which entry of which Secret must lie in which file
quiet      times at which a channel is not told anything
wording    the texts of mails and messages
model      receivers and routes, whatever the form
outlets    one AlertChannel → its receiver and route
target     the Alertmanager that is written for, and Steward's own place in it
plain      all of it as alertmanager.yml
operator   the same as AlertmanagerConfig objects of the prometheus-operator
redaction  proof that no secret is in what was written
"""
