"""How much a page may hold: beyond these limits it says less in place, and says so; nothing is left out silently.

A page is one file that a browser must open at once.  What takes room is markup: about 40 bytes for a cell of a table,
1 KiB for a case with its cells in all tables, 10 to 30 KiB for a panel of a chart.  All limits hold for every kind of
study.
"""

from __future__ import annotations

ROWS_IN_FULL = 1000
"""Cases up to which the table of all rows has all columns: with 30 columns of them it takes 1.5 MB, a second to lay out
and to sort."""
ROWS_OF_PROCESSES = 300
"""Cases up to which what each process measured is a table of its own; beyond, it stands with the details of a case."""
ROWS_OF_A_TABLE = 600
"""Rows of the numbers beside a chart, and of a listing: 60 KB each at most, of which a page may have a dozen."""
PANELS = 16
"""Panels of one chart: a wall of more is not read, and each costs 20 KB and 0.1 s to draw."""
MARKS = 1500
"""Marks of one panel that are drawn one by one, each with a tip: 0.4 MB.  More lie so close that they are drawn as one
layer of pixels."""
BOARDS_OPEN = 8
"""Scoreboards that stand open; of more problems each is folded, with its title to unfold it."""
PAGE = 10_000_000
"""Bytes of a page beyond which it is not written whole: browsers take seconds to lay out so many tables."""
