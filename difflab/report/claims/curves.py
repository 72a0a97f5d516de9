"""The V-curve as a chart: error against step, one line per scheme, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import axes as scales
from .. import numbers
from ..cases import ROUNDING, Case, Group
from ..panels import draw_line, draw_mark
from ..style import MUTED, Look, canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HIGHEST = 300.0  # a relative error beyond this says no more than that nothing is right
HEIGHT = 318.0  # points


@dataclass(frozen=True)
class Spot:
    """A step and the relative error there; ``None`` where it is unknown or not finite."""

    step: float | None
    error: float | None

    @property
    def drawn(self) -> bool:
        """Whether it has a place in the chart."""
        return self.step is not None and self.error is not None


@dataclass(frozen=True)
class Curve:
    """What one case found: ``points`` from the largest step to the smallest; none for a backend without a step."""

    case: Case
    points: tuple[Spot, ...]
    worst: tuple[float | None, ...]
    best: Spot
    predicted: Spot
    default: Spot
    eps: float
    lost: float | None
    order: int | None
    flat: bool

    @property
    def held(self) -> float:
        """The decimal digits that the dtype holds."""
        return -math.log10(self.eps)

    def beside(self, factor: float) -> float | None:
        """The digits that a step of ``factor`` times the best one costs, where the sweep came that far."""
        if self.best.step is None or self.best.error is None:
            return None
        wanted = self.best.step * factor
        # However many steps a decade has, ten times each step is another one, up to its rounding to six digits.
        spot = next((one for one in self.points if one.step and math.isclose(one.step, wanted, rel_tol=1e-3)), None)
        if spot is None or spot.error is None:
            return None
        return math.log10(max(spot.error, self.eps) / max(self.best.error, self.eps))

    @property
    def automatic(self) -> float | None:
        """The digits that the automatic step costs against the best one tried; below nought where it is better."""
        if self.default.error is None or self.best.error is None:
            return None
        return math.log10(max(self.default.error, self.eps) / max(self.best.error, self.eps))

    @property
    def off(self) -> float | None:
        """The factor between the predicted best step and the best one tried; nothing where all below are as good."""
        if self.flat or not self.best.step or not self.predicted.step:
            return None
        return max(self.best.step / self.predicted.step, self.predicted.step / self.best.step)


def read(case: Case) -> Curve | None:
    """The curve of a case, or ``None`` where it found nothing."""
    found = case.findings
    if not case.ok or not isinstance(found, Mapping) or not isinstance(found.get("best"), Mapping):
        return None
    errors = found.get("rel_error") or []
    points = tuple(Spot(step, error) for step, error in zip(found.get("steps") or [], errors, strict=True))
    predicted = found.get("predicted") or {}
    return Curve(
        case, points, tuple(found.get("worst") or ()),
        _spot(found["best"]), _spot(predicted), _spot(found.get("default")),
        found.get("eps") or ROUNDING.get(case.dtype, ROUNDING["float64"]), found.get("digits_lost"),
        predicted.get("order"), bool(predicted.get("flat")),
    )  # fmt: skip


def _spot(found: Any) -> Spot:
    return Spot(found.get("step"), found.get("error")) if isinstance(found, Mapping) else Spot(None, None)


def visible(curves: Sequence[Curve]) -> list[Curve]:
    """The curves without what lies beyond the steps that were tried, such as the automatic one of the complex step.

    Args:
        curves: those of one panel.
    """
    steps = [spot.step for curve in curves for spot in curve.points if spot.step]

    def seen(spot: Spot) -> Spot:
        inside = spot.step is not None and min(steps, default=0.0) <= spot.step <= max(steps, default=0.0)
        return spot if inside else Spot(None, None)

    return [replace(curve, predicted=seen(curve.predicted), default=seen(curve.default)) for curve in curves]


def panel(curves: Sequence[Curve], looks: Mapping[str, Look]) -> tuple[Figure, dict[str, str]]:
    """One chart: the curves of one problem, size and dtype.

    Args:
        curves: one per backend; those without steps become horizontal lines.
        looks: marker, dash and colour per backend.

    Returns:
        The figure, and for the gid of every mark what it says.
    """
    eps = curves[0].eps
    figure, axes = canvas("relative error", "step", height=HEIGHT, bottom=38.0)
    steps = [spot.step for curve in curves for spot in curve.points if spot.step]
    scales.set_error(axes, "x", steps or [eps, 1.0])
    spots = [spot for c in curves for spot in (*c.points, c.best, c.predicted, c.default)]
    heights = [_height(spot.error, eps) for spot in spots if spot.error is not None]
    scales.set_error(axes, "y", [*heights, eps / 2])
    axes.axhline(eps, color=MUTED, linewidth=1.1, dashes=(1, 1.6), zorder=1.5)
    tips: dict[str, str] = {}
    for curve in curves:
        _draw(axes, curve, looks[curve.case.backend], tips)
    return figure, tips


def _draw(axes: Axes, curve: Curve, look: Look, tips: dict[str, str]) -> None:
    name, eps = curve.case.backend, curve.eps
    if not curve.points and curve.best.error is not None:
        line = axes.axhline(_height(curve.best.error, eps), color=look.colour, linewidth=1.3, zorder=2.4)
        if look.dashes:
            line.set_dashes(look.dashes)
    for piece in _pieces(curve.points):
        draw_line(axes, look, [spot.step or 0.0 for spot in piece], [_height(spot.error, eps) for spot in piece])
    marks = (
        ("best step", curve.best, {}),
        ("predicted", curve.predicted, {"hollow": True, "size": 7.5}),
    )
    for words, spot, how in marks:
        if spot.step is not None and spot.error is not None:
            gid = f"mark-{len(tips)}"
            draw_mark(axes, look, spot.step, _height(spot.error, eps), gid, **how)
            tips[gid] = f"{name}, {words} {numbers.scientific(spot.step)}: {numbers.scientific(spot.error)}"
    if curve.default.step is not None and curve.default.error is not None:
        gid = f"mark-{len(tips)}"
        axes.plot(
            [curve.default.step], [_height(curve.default.error, eps)], linestyle="none", marker="|", markersize=15,
            color=look.colour, markeredgewidth=1.6, gid=gid, zorder=3.8, clip_on=False,
        )  # fmt: skip
        step, error = numbers.scientific(curve.default.step), numbers.scientific(curve.default.error)
        tips[gid] = f"{name}, automatic step about {step}: {error}"


def _height(error: float | None, eps: float) -> float:
    """Where an error is drawn: an exact gradient at the lower end, a meaningless one at the upper."""
    return min(max(error or 0.0, eps / 4), HIGHEST)


def _pieces(points: Sequence[Spot]) -> list[list[Spot]]:
    """Stretches of a curve without a gap: what is not finite has no place."""
    pieces: list[list[Spot]] = [[]]
    for spot in points:
        if spot.drawn:
            pieces[-1].append(spot)
        elif pieces[-1]:
            pieces.append([])
    return [piece for piece in pieces if piece]


def words(curves: Sequence[Curve]) -> str:
    """What a panel shows, for those who do not see it."""
    said = []
    for curve in curves:
        name, best = curve.case.backend, curve.best
        if best.error is None:
            said.append(f"{name}: nothing finite at any step.")
            continue
        if best.step is None:
            said.append(f"{name}: {numbers.scientific(best.error)}, without a step.")
            continue
        text = f"{name}: least error {numbers.scientific(best.error)} at a step of {numbers.scientific(best.step)}"
        ends = [spot for spot in (curve.points[0], curve.points[-1]) if spot.drawn]
        text += "".join(f", {numbers.scientific(s.error)} at {numbers.scientific(s.step)}" for s in ends)
        if curve.predicted.drawn:
            text += f"; predicted best step {numbers.scientific(curve.predicted.step)}"
        said.append(f"{text}.")
    return f"Relative error of the gradient against the step; machine epsilon is {curves[0].eps:.2g}. " + " ".join(said)


def panels_of(groups: Sequence[Group]) -> list[tuple[str, list[Curve]]]:
    """The curves by problem, size and dtype, with a title for each panel."""
    found: dict[tuple[str, str], list[Curve]] = {}
    titles: dict[tuple[str, str], str] = {}
    for group in groups:
        for case in group.cases:
            if (curve := read(case)) is not None:
                found.setdefault((group.title, case.size), []).append(curve)
                titles[group.title, case.size] = f"{case.place}, {case.dtype}"
    return [(titles[key], curves) for key, curves in found.items()]
