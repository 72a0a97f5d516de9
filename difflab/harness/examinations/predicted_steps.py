"""What theory says of the best step before anything is measured: truncation balanced against rounding.

The error of a difference quotient of order p in one coordinate is truncation, c h^p |f^(p+1)|, plus rounding,
w u |f| / h, where c and w follow from its points and u is the unit roundoff (Gill, Murray & Wright, 1981, section 8.6;
Nocedal & Wright, 2006, section 8.1).  Nobody knows |f^(p+1)| beforehand, so the classic rule takes |f| / L^(p+1) with
the magnitude of the coordinate, L = max(1, |x|).  The sum is least at h = L (w u / (p c))^(1/(p+1)).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ...backends.stencils import plan_of


class Quotient(NamedTuple):
    """A quotient of differences: ``order`` p, ``truncation`` c and ``rounding`` w; w is 0 where nothing is subtracted.

    >>> Quotient(2, 1 / 6, 1.0).step(2.0**-53)
    6.931764956787646e-06
    """

    order: int
    truncation: float
    rounding: float

    def step(self, roundoff: float) -> float:
        """The best step for a coordinate of magnitude 1; without rounding, the largest that truncation permits.

        Args:
            roundoff: the unit roundoff of the dtype.
        """
        if not self.rounding:
            return (roundoff / self.truncation) ** (1 / self.order)
        return (self.rounding * roundoff / (self.order * self.truncation)) ** (1 / (self.order + 1))

    def error(self, step: float, roundoff: float) -> float:
        """The error at a step relative to |f|, for a coordinate of magnitude 1.

        Args:
            step: the step.
            roundoff: the unit roundoff of the dtype.
        """
        return self.truncation * step**self.order + roundoff * (self.rounding / step if self.rounding else 1.0)


COMPLEX_STEP = Quotient(2, 1 / 6, 0.0)  # Im f(x + ih) / h; nothing is subtracted (Squire & Trapp, 1998)


def quotient(scheme: str, order: int | None) -> Quotient:
    """The constants of a scheme.

    Args:
        scheme: "central", "forward" or "backward".
        order: of accuracy; by default that of the usual quotient of two values.

    >>> quotient("central", 4).order, quotient("forward", None).truncation
    (4, 0.5)
    """
    plan = plan_of(scheme, order, False)
    return Quotient(plan.order, plan.stencil.remainder / math.factorial(plan.order + 1), plan.stencil.noise)
