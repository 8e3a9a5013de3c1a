"""Gates: each judges an observation and gives one of four answers. Pure.

Passed: it is so. Failed: it is not so. Inconclusive: nobody can tell. Error: it could not be asked this time.
"""
