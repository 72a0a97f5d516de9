"""What replaying a tape in a framework costs beside the loss as its user writes it there, in one process by turns.

Both are differentiated by the framework itself, on the same data in the same dtype with the same threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...idiomatic import Idiom, find
from .turns import take_turns

if TYPE_CHECKING:
    from ..session import Session

QUICK_PART = 0.25
AGREES = {"float64": 1e-10, "float32": 1e-3}
"""The largest relative difference of both gradients that rounding in another order leaves."""


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Hold the open case's backend against the loss in the framework's own words.

    Args:
        session: with a case open whose backend is a framework of others.
        command: ``settings``, the fields of ``study_kinds.Wrapper``, and ``quick``.

    Returns:
        ``outcome``, ``reason``, ``certified`` and ``findings``: medians ``seconds`` of the replayed gradient and
        ``other_seconds`` of the idiomatic one, their ``ratio`` with ``ratio_low`` and ``ratio_high`` of ``pairs``;
        ``difference``, the relative distance of both gradients; ``share`` and ``from_us`` of the settings; ``calls``,
        how many of the framework's functions the replay calls, ``None`` where it does not say.
    """
    settings, name = command["settings"], session.backend.name
    session.channel.phase("import")
    write = find(session.spec["problem"], name)
    if write is None:
        reason = f"nobody has written problem {session.spec['problem']!r} in the words of {name!r}"
        return {"outcome": "unsupported", "reason": reason, "findings": None}
    idiom = write(session.instance)
    session.channel.phase("prepare")
    prepared = session.operation.prepare(session.backend)
    call = session.operation.call(session.backend, prepared)
    difference = _difference(session.operation.result(prepared), idiom, session.instance.args[0])
    dtype = session.spec["dtype"]
    if not difference <= AGREES.get(dtype, math.inf):
        reason = f"both gradients differ by {difference:.2g} of their length, more than rounding in {dtype} explains"
        return {"outcome": "invalid", "reason": reason, "findings": None}
    session.channel.phase("sample")
    part = QUICK_PART if command.get("quick") else 1.0
    found = take_turns(call, idiom.call, part * settings["seconds"])
    findings = {
        **found._asdict(),
        "difference": difference,
        "share": settings["share"],
        "from_us": settings["from_us"],
        "calls": prepared.stats.get("calls"),
    }
    return {"outcome": "ok", "reason": "", "certified": "nothing is graded", "findings": findings}


def _difference(replayed: Sequence[Any], idiom: Idiom, params: Mapping[str, Any]) -> float:
    """The distance of both gradients, relative to the length of the idiomatic one."""
    own = idiom.answer()[1]
    pairs = [(np.asarray(one, np.float64), own[key]) for one, key in zip(replayed, sorted(params), strict=True)]
    apart = math.sqrt(math.fsum(float(np.sum((one - other) ** 2)) for one, other in pairs))
    length = math.sqrt(math.fsum(float(np.sum(np.square(other, dtype=np.float64))) for _, other in pairs))
    return apart / length if length else apart
