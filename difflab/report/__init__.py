"""Reports: one self-contained page per run, a pure function of what the run has stored.

``write`` is all that other floors need; ``answer`` gives the same sentences to the command line.
"""

from __future__ import annotations

from .page import answer, render, write

__all__ = ["answer", "render", "write"]
