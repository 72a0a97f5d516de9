"""The harness: from a study to rows that can be trusted (processes, limits, clocks, memory, truth, storage).

The coordinator (``engine``) never imports NumPy; everything that computes happens in workers (``worker``), one fresh
interpreter per case and pass.  What they find is appended to a run folder (``store``) and read back as rows
(``results``).
"""
