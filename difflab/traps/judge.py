"""Asking for the gradient at a trap, and judging the answer."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np

from ..backends.protocol import Backend
from ..errors import UnsupportedError
from ..operators import gradient, prepare
from .admissible import NoDerivative, Refusal
from .departures import KNOWN
from .record import Library, Trap

VERDICTS = ("admissible", "near", "refused", "outside", "nan", "wrong refusal", "unsupported")
HONEST = VERDICTS[:3]
BY_TABLE = ("reverse", "forward", "symbolic")
LENGTH = 160


@dataclass(frozen=True)
class Answer:
    """What was answered at a trap.

    ``numbers``: one per coordinate, or ``None``; ``error``: its class and first line where there was one;
    ``verdict``: one of ``VERDICTS``; ``table``: whether it follows difflab's table of kinks, ``None`` where that says
    nothing.
    """

    numbers: tuple[float, ...] | None
    error: str
    verdict: str
    table: bool | None = None

    @property
    def text(self) -> str:
        """The answer in a few characters: ``0.5``, ``(1, 0)``, ``NaN`` or ``error``."""
        if self.numbers is None:
            return "not supported" if self.verdict == "unsupported" else "error"
        texts = [short(one) for one in self.numbers]
        if len(set(texts)) == 1 and len(texts) > 1:
            return f"all {texts[0]}"
        return texts[0] if len(texts) == 1 else f"({', '.join(texts)})"


@dataclass(frozen=True)
class Difflab:
    """difflab with one of its backends, as a ``Library``: the trap's function runs on NumPy, as a user's would."""

    backend: Backend
    name: str = "numpy"

    @property
    def xp(self) -> Any:
        """NumPy itself."""
        return np

    def gradient(self, function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., list[float]]:
        """See ``Library``."""
        made = gradient(partial(function, np), wrt, self.backend)
        return lambda *arguments: flat(made(*arguments))

    def compiled(
        self, function: Callable[..., Any], wrt: tuple[int, ...], *arguments: Any
    ) -> Callable[..., list[float]]:
        """See ``Library``."""
        made = prepare(partial(function, np), *arguments, argnums=wrt, backend=self.backend)
        return lambda *given: flat(made.gradient(*given))


def ask(library: Library, trap: Trap) -> Answer:
    """The answer of a library at a trap, judged.

    Args:
        library: difflab with a backend, or a peer.
        trap: one of ``difflab.traps.TRAPS``.

    Returns:
        ``Answer``; whatever the library raises is its answer too.

    Example:
        >>> from difflab.backends import find
        >>> from difflab.traps import TRAPS
        >>> answer = ask(Difflab(find("reverse")), TRAPS["clip-bound"])
        >>> answer.text, answer.verdict, answer.table
        ('0.5', 'admissible', True)
    """
    form = trap.forms.get(library.name, trap.function)
    if isinstance(form, str):
        return Answer(None, form, "unsupported")
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            if trap.scenario is not None:
                numbers = trap.scenario(library)
            else:
                numbers = library.gradient(form, trap.wrt)(*trap.arguments)
    except (UnsupportedError, NotImplementedError) as fault:  # JAX and autograd raise the latter for want of a rule
        return Answer(None, _first_line(fault), "unsupported")
    except Exception as fault:  # a library of others may raise anything
        honest = trap.may_refuse or isinstance(trap.admissible, Refusal | NoDerivative)
        return Answer(None, _first_line(fault), "refused" if honest else "wrong refusal")
    return judge(trap, numbers)


def judge(trap: Trap, numbers: Sequence[float]) -> Answer:
    """The verdict on numbers that were answered at a trap.

    Args:
        trap: where they were asked for.
        numbers: one per coordinate of the differentiated arguments, in order.

    Returns:
        ``Answer``.

    Example:
        >>> from difflab.traps import TRAPS
        >>> [judge(TRAPS["abs-zero"], [one]).verdict for one in (1.0, 1.5, float("nan"))]
        ['admissible', 'outside', 'nan']
    """
    numbers = tuple(map(float, numbers))
    verdict = trap.admissible.verdict(numbers, trap.arguments, trap.dtype)
    return Answer(numbers, "", verdict, None if trap.table is None else numbers == trap.table)


def why(trap: Trap, answer: Answer, backend: Any) -> str:
    """Why the verdict is what it is, in a sentence, where there is more to say than the verdict.

    Args:
        trap: where the answer was given.
        answer: as judged.
        backend: who answered; for difflab's own the reasons are known.

    Returns:
        The error, or the known reason of a departure, or whether difflab's table of kinks says otherwise.
    """
    if answer.error:
        return answer.error
    verdict, reason = KNOWN.get((trap.name, who(backend)), ("", ""))
    if answer.verdict == verdict:
        return reason
    if answer.table is not None and backend.family in BY_TABLE:
        return "as difflab's table of kinks says" if answer.table else "not what difflab's table of kinks says"
    return ""


def who(backend: Any) -> str:
    """What a backend is called in ``departures``: its name, and its scheme where it has one that is not usual.

    >>> from difflab.backends import find
    >>> who(find("reverse")), who(find("finite", scheme="forward"))
    ('reverse', 'finite-forward')
    """
    options = {one.name: getattr(backend, one.name) for one in fields(backend) if one.init}
    scheme = options.get("scheme", "central")
    return backend.name if scheme == "central" else f"{backend.name}-{scheme}"


def flat(gradients: Any) -> list[float]:
    """A tuple of gradients as one list of numbers."""
    return [float(number) for one in gradients for number in np.ravel(np.asarray(one))]


def short(number: float) -> str:
    """A number in at most four significant digits.

    >>> short(0.5), short(-4.0), short(1e9), short(float("nan")), short(1 / 3), short(-0.0)
    ('0.5', '-4', '1e9', 'NaN', '0.3333', '0')
    """
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "inf" if number > 0 else "-inf"
    if number == 0:
        return "0"
    mantissa, _, exponent = f"{number:.4g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _first_line(fault: BaseException) -> str:
    lines = str(fault).strip().splitlines()
    text = f"{type(fault).__name__}: {lines[0].strip()}" if lines else type(fault).__name__
    return text if len(text) <= LENGTH else f"{text[: LENGTH - 3]}..."
