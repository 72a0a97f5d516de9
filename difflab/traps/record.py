"""What a trap is: a small function, a point, and the answers that are honest there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from .admissible import Admissible

NOTHING: Mapping[str, Any] = MappingProxyType({})
GITHUB = "https://github.com/"


class Library(Protocol):
    """Something that differentiates: difflab with one of its backends, or a library of others.

    ``name`` chooses a trap's ``forms``; ``xp`` is the namespace that functions are written against.
    """

    @property
    def name(self) -> str:
        """``numpy`` for difflab, else the library's own."""
        ...

    @property
    def xp(self) -> Any:
        """What stands for ``numpy`` in a trap's function."""
        ...

    def gradient(self, function: Callable[..., Any], wrt: tuple[int, ...]) -> Callable[..., list[float]]:
        """The gradient as one flat list; its function takes NumPy arguments."""
        ...

    def compiled(
        self, function: Callable[..., Any], wrt: tuple[int, ...], *arguments: Any
    ) -> Callable[..., list[float]]:
        """The same, prepared or compiled once for arguments such as these."""
        ...


@dataclass(frozen=True)
class Trap:
    """A function that is easily differentiated wrongly.

    Args:
        name: what it is asked for by.
        family: the module it belongs to.
        title: the function and the point in a few words.
        sentence: what goes wrong, and what the honest answer is.
        function: ``function(xp, *arguments)``, a scalar, in names that NumPy and its look-alikes share.
        arguments: the point, and whatever else the function takes.
        admissible: the answers that are honest.
        table: what difflab's own rules answer there by its table of kinks, where the table says.
        wrt: the arguments that are differentiated.
        dtype: of the differentiated arguments.
        thread: where users met it: ``owner/repository#number``; empty where no such thread is known.
        may_refuse: whether an error is an honest answer too.
        refusal: words that difflab's own error must hold, where it refuses.
        forms: the function as another library writes it, by the library's name; a text says why there is none.
        ideal: what the code stands for in real numbers, where rounding or hidden state is the trap itself.
        scenario: ``scenario(library)`` gives the answer where it takes more than one call.

    Example:
        >>> from difflab.traps import find
        >>> find("abs-zero").title
        'abs(x) at 0'
    """

    name: str
    family: str
    title: str
    sentence: str
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    admissible: Admissible
    table: tuple[float, ...] | None = None
    wrt: tuple[int, ...] = (0,)
    dtype: str = "float64"
    thread: str = ""
    may_refuse: bool = False
    refusal: str = ""
    forms: Mapping[str, Callable[..., Any] | str] = field(default_factory=lambda: NOTHING)
    ideal: Callable[..., Any] | None = None
    scenario: Callable[[Library], list[float]] | None = None

    @property
    def url(self) -> str:
        """The address of the thread; empty where there is none."""
        repository, _, number = self.thread.partition("#")
        return f"{GITHUB}{repository}/issues/{number}" if number else ""
