"""On a GPU with TF32 for all: every bar met, or slower than all of them."""

from __future__ import annotations

from claims.gpu import made_up

AGREES = made_up(1.0, tf32=True)
OPPOSES = made_up(4.0, tf32=True)
SAYS = r"All 6 bars judged are met\."
SAYS_INSTEAD = r"Of 6 bars judged, 0 are met and 6 not"
