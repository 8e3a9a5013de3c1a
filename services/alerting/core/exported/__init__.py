"""What is seen of the mesh, as numbers for Prometheus: what no metric of Linkerd's own tells.

samples       one series and its value
unread        what could not be seen, and which right is missing
certificates  trust anchors, issuer and webhooks: dates, and who trusts whom
renewals      what cert-manager plans
injection     pods that should have a proxy, and those that have one
replicas      the control plane's Deployments
progress      upgrades that act, features that are confirmed broken
scraped       proxies that this Prometheus scrapes, and those that refuse
exposition    all of it, from one look
"""
