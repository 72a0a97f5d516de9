"""``difflab recommend``: which backend for one's own loss, under limits, with the reason."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..own_files import blaming
from .codes import NOTHING, OK, TOLERANCE
from .faults import AsJson, show
from .loss import (
    ARGUMENTS_HELP,
    ArgnumOption,
    AtOption,
    BackendsOption,
    DeviceOption,
    LimitOption,
    LossArgument,
    LossCase,
    OperatorOption,
    SecondsOption,
    SeedOption,
    ShapesOption,
    read_argnums,
    read_backends,
    read_loss,
)
from .tables import json_text, table

if TYPE_CHECKING:
    from ..recommendation import Recommendation

EPILOG = f"""
\b
Examples:
  difflab recommend net.py:loss
  difflab recommend net.py:loss --digits 8 --memory "200 MB" --time 1ms --calls 1000
  difflab recommend net.py:loss --shapes "w=3, x=32x3, y=32" --json

Taken is the quickest backend over all calls, preparing included, that meets every limit. What cannot be told apart in
time is called so; then the more accurate one is taken, then the one with less memory. Digits are certified, not found
by agreement among backends. Without --backends these are finite, complex-step, symbolic, forward and reverse, and with
--memory reverse mode that recomputes where that helps.
{ARGUMENTS_HELP}
Exit codes: 0 there is one; 1 nothing meets the limits; 2 bad input, as a file that cannot be run; 5 nothing could be
measured; 70 a fault of difflab.
"""

FRONT = "(on the front: no other is as good or better in error, time and memory at once)"


def attach(app: typer.Typer) -> None:
    """Add the command to the command line.

    Args:
        app: the command line.
    """

    @app.command(epilog=EPILOG)
    def recommend(
        loss: LossArgument,
        digits: Annotated[
            float | None, typer.Option("--digits", metavar="N", help="At least so many certified correct digits.")
        ] = None,
        memory: Annotated[
            str | None, typer.Option("--memory", metavar="BYTES", help='At most so many bytes of arrays: "200 MB".')
        ] = None,
        time: Annotated[
            str | None, typer.Option("--time", metavar="TIME", help='At most so long a call: "1ms", "0.5 s", "200us".')
        ] = None,
        calls: Annotated[
            int, typer.Option("--calls", min=1, metavar="N", help="How many calls will be made; preparing counts once.")
        ] = 1,
        backends: BackendsOption = None,
        at: AtOption = None,
        shapes: ShapesOption = None,
        argnum: ArgnumOption = "0",
        operator: OperatorOption = "gradient",
        seconds: SecondsOption = 20.0,
        limit: LimitOption = 20.0,
        seed: SeedOption = 0,
        device: DeviceOption = None,
        as_json: AsJson = False,
    ) -> None:
        """Say which backend to take for your own loss, and why.

        Measures the backends at once and in one process, and chooses under the limits that are given.
        """
        from ..harness.amounts import read_duration, read_size

        options: dict[str, Any] = {"operator": operator, "device": device, "digits": digits, "calls": calls}
        options |= {"reference_seconds": seconds, "call_seconds": limit}
        options["memory"] = _amount("--memory", memory, read_size, '"200 MB", "1 GiB"')
        options["seconds"] = _amount("--time", time, read_duration, '"1ms", "200us", "0.5 s"')
        options["argnums"] = read_argnums(argnum)
        options["backends"] = None if backends is None else read_backends(backends)
        case, found = _recommended(loss, at, shapes, seed, options)
        show(json_text(recommended_document(case, found)) if as_json else recommended_text(case, found))
        measured = any(one.outcome in ("ok", "invalid") for one in found.candidates)
        raise typer.Exit(OK if found.backend is not None else TOLERANCE if measured else NOTHING)


def _amount(option: str, text: str | None, read: Callable[[str], float | None], examples: str) -> float | None:
    value = None if text is None else read(text)
    if text is not None and not value:
        raise InputError(f"{option} {text!r}: give a positive amount such as {examples}")
    return value


def _recommended(
    loss: str, at: str | None, shapes: str | None, seed: int, options: dict[str, Any]
) -> tuple[LossCase, Recommendation]:
    """Recommend a backend for a loss in a file; what the user's files print goes to stderr."""
    from ..recommendation import recommend
    from .progress import progress_on

    with contextlib.redirect_stdout(sys.stderr):
        case = read_loss(loss, at, shapes, seed)
        with progress_on(sys.stderr) as progress, blaming(loss):
            return case, recommend(case.function, *case.args, progress=progress, **options, **case.kwargs)


def recommended_document(case: LossCase, found: Recommendation) -> dict[str, Any]:
    """What ``difflab recommend --json`` prints.

    Args:
        case: the loss.
        found: the recommendation.
    """
    frame = found.frame
    return {
        "recommend": {
            "loss": case.shown,
            "operator": found.operator,
            "arguments": case.given,
            "limits": vars(found.wanted),
            "backend": found.label,
            "value": None if found.backend is None else repr(found.backend),
            "reason": found.reason,
            "relaxing": found.relaxing,
            "others": found.others,
            "caveats": found.caveats,
            "front": [one.label for one in found.front],
            "rejected": found.rejected,
            "backends": [dict(zip(frame.columns, values, strict=True)) for values in frame.itertuples(index=False)],
        }
    }


def recommended_text(case: LossCase, found: Recommendation) -> str:
    """The recommendation for people: the reason first, then the table, then what else there is to say.

    Args:
        case: the loss.
        found: the recommendation.
    """
    from ..reasons import together

    header, rows = found.table()
    parts = [
        found.reason,
        "\n".join(found.relaxing),
        case.given_text,
        f"{table(header, rows, right=(2, 3, 4, 5))}\n{FRONT}",
        "\n".join(found.others),
        "\n".join(together(found.rejected)),
        "\n".join([*found.caveats, *([] if found.backend is None else [use_of(found)])]),
    ]
    return "\n\n".join(part for part in parts if part)


def use_of(found: Recommendation) -> str:
    """The line of Python that takes the recommendation.

    Args:
        found: with a backend.

    >>> from types import SimpleNamespace
    >>> import difflab as dl
    >>> use_of(SimpleNamespace(backend=dl.Reverse(), label="reverse", loss="loss", operator="gradient"))
    'To use it: dl.prepare(loss, ..., operator="gradient", backend="reverse")'
    """
    from .. import backends

    value = repr(found.label)
    if found.backend is not None and found.backend.name in (*backends.BUILT_IN, "analytic"):
        plain = found.backend.name != "analytic" and found.backend == backends.find(found.backend.name)
        value = f'"{found.backend.name}"' if plain else f"dl.{found.backend!r}"
    return f'To use it: dl.prepare({found.loss}, ..., operator="{found.operator}", backend={value})'
