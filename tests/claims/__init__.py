"""What each shipped study would answer if the world were otherwise: a module per study, dashes as underscores.

A module has ``AGREES`` and ``OPPOSES``, two made-up runs of the study's kind over its own problems and backends, and
``SAYS`` and ``SAYS_INSTEAD``, regular expressions: each is found in the answer of its own run and not in the other.
"""
