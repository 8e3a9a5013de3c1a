"""A Linkerd that is nothing but its pages of metrics: those of any version, healthy or with one thing wrong.

page      families of the catalogue → text that Prometheus reads
portrait  what the series of a healthy mesh say
faults    what each thing that can be wrong changes in them
synthetic a server on loopback with a page for each container, and the jobs that scrape it
"""
