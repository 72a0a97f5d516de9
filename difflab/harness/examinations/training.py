"""One backend trains one problem: how the loss falls with steps and with seconds, and what has been learned.

Every backend starts at the same parameters and sees the same batches in the same order.  The loss of the charts is
taken over all the data that is trained on, outside the clock, at steps that lie ever farther apart.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...errors import ForecastError
from .. import amounts
from ..finite_loss import LossError, fault_of_loss

if TYPE_CHECKING:
    from ..session import Session

DISTANCE = 0.06  # from one step that is looked at to the next, as a share of its number
QUICK_STEPS, QUICK_SECONDS = 0.25, 0.5  # shares of a quick run


def examine(session: Session, command: dict[str, Any]) -> dict[str, Any]:
    """Train the problem of the open case with its backend.

    Args:
        session: with the case open.
        command: ``settings`` with the fields of ``study_kinds.Training``, and ``quick``.

    Returns:
        ``outcome``, ``reason``, ``certified`` and ``findings``: lists ``steps``, ``loss`` (over ``of``) and
        ``seconds`` at those steps; ``done`` steps, ``stopped`` and why, ``prepare_s``, ``step_s``, ``rate``,
        ``momentum``, ``batch``, ``budget`` in steps and seconds; and what the problem's task finds by a look at the
        parameters.  What is not finite is ``None``.

    Raises:
        LossError: the loss is not finite where training starts.
        ForecastError: preparing alone is forecast to take longer than the whole training may.
    """
    from ...training import descend
    from ..catalogue import find_problem
    from .training_tasks import task

    spec, settings = session.spec, command["settings"]
    shares = (QUICK_STEPS, QUICK_SECONDS) if command["quick"] else (1.0, 1.0)
    most, seconds = max(1, round(settings["steps"] * shares[0])), settings["seconds"] * shares[1]
    loss, params = session.instance.loss, session.instance.args[0]
    if (fault := fault_of_loss(loss(*session.instance.args), session.leaves, session.source.names)) is not None:
        raise LossError(fault)
    cost = session.operation.predict(session.backend)
    if cost.seconds > seconds:
        raise ForecastError(
            f"the forecast is {amounts.duration(cost.seconds)} to prepare and take one step; training may take "
            f"{amounts.duration(seconds)}"
        )
    dimensions = find_problem(spec["problem"]).sizes[spec["size"]]
    made = task(spec["problem"], dimensions, session.instance, spec["seed"])
    seen = _Seen(loss, made.data)
    session.channel.phase("train")
    found = descend(
        loss,
        params,
        *made.data,
        rate=settings["rate"] or made.rate,
        precision=settings["precision"],
        max_iters=most,
        seconds=seconds,
        batch=made.batch,
        seed=spec["seed"],
        momentum=settings["momentum"],
        backend=session.backend,
        analytic=session.instance.analytic,
        watch=seen,
    )
    session.channel.phase("look")
    if seen.steps[-1] != found.steps:
        seen.keep(found.steps, found.params)
    trained = found.seconds[-1] - found.seconds[0]
    findings = {
        "steps": seen.steps,
        "loss": seen.losses,
        "seconds": [round(float(found.seconds[step]), 6) for step in seen.steps],
        "done": found.steps,
        "stopped": found.stopped,
        "prepare_s": round(float(found.seconds[0]), 6),
        "step_s": float(trained / found.steps) if found.steps else None,
        "rate": settings["rate"] or made.rate,
        "momentum": settings["momentum"],
        "batch": made.batch,
        "of": made.of,
        "budget": {"steps": most, "seconds": seconds},
        **made.look(found.params),
    }
    return {"outcome": "ok", "reason": "", "certified": "", "findings": findings}


class _Seen:
    """The loss over all data at steps that lie ever farther apart, the same ones for every backend."""

    def __init__(self, loss: Any, data: tuple[Any, ...]) -> None:
        self._loss, self._data = loss, data
        self._due = 0
        self.steps: list[int] = []
        self.losses: list[float | None] = []

    def __call__(self, step: int, _loss: float, params: Any) -> None:
        if step >= self._due:
            self.keep(step, params)
            self._due = max(step + 1, math.ceil(step * (1 + DISTANCE)))

    def keep(self, step: int, params: Any) -> None:
        """Take the loss at these parameters."""
        with np.errstate(all="ignore"):  # parameters that have diverged
            value = float(self._loss(params, *self._data))
        self.steps.append(step)
        self.losses.append(value if math.isfinite(value) else None)
