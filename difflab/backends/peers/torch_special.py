"""PyTorch's special functions, and those that are a line of its elementary ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .forecast import part
from .formulas import written
from .plan import Maker, always

SAME = (
    "erf erfc erfcx erfinv ndtr log_ndtr ndtri logit xlogy xlog1py entr psi gammaln zeta i0 i1 i0e i1e gammainc "
    "gammaincc scipy_expm1:expm1 scipy_exp2:exp2 scipy_log1p:log1p"
)


def _sinc(avals: Any, out: Any, *, order: int = 0) -> Any:
    return part("torch").sinc if order == 0 else None


def _polygamma(avals: Any, out: Any, *, order: int = 0) -> Callable[..., Any]:
    special = part("torch.special")
    return lambda x: special.polygamma(order, x)


def equations() -> dict[str, Maker]:
    """Makers for special functions; PyTorch is imported now.

    Returns:
        By the primitive's name.

    Example:
        >>> from difflab.backends.peers.torch_peer import Torch
        >>> Torch().unavailable() is not None or "erf" in equations()
        True
    """
    torch, special = part("torch"), part("torch.special")
    functional = part("torch.nn.functional")

    def gamma(x: Any) -> Any:
        odd = (x < 0) & (torch.remainder(torch.floor(x), 2.0) == 1.0)
        return torch.where(odd, -1.0, 1.0 + 0.0 * x) * torch.exp(torch.lgamma(x))

    found = written(torch)
    pairs = [entry.partition(":") for entry in SAME.split()]
    found |= {ours: always(getattr(special, theirs or ours)) for ours, _, theirs in pairs}
    functions: dict[str, Callable[..., Any]] = {
        "beta": lambda a, b: torch.exp(torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)),
        "betaln": lambda a, b: torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b),
        "erfcinv": lambda x: -special.ndtri(0.5 * x) / math.sqrt(2.0),
        "gamma": gamma,
        "log_expit": functional.logsigmoid,
        "loggamma": torch.lgamma,
        "numpy_i0": torch.i0,
    }
    found |= {name: always(function) for name, function in functions.items()}
    return {**found, "polygamma": _polygamma, "sinc": _sinc}
