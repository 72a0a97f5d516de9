"""Where a drawing puts things: boxes lie apart, edges meet none, whatever is folded."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from drawings import SMALL, TIMES, assert_tidy, drawn, traced
from hypothesis import given
from hypothesis import strategies as st

import difflab as dl
from difflab import nn
from difflab.walk.drawing import boxes
from difflab.walk.drawing.boxes import Box
from difflab.walk.drawing.coordinates import SEPARATION, place
from difflab.walk.drawing.graph import graph
from difflab.walk.drawing.layers import layered, parameters
from difflab.walk.drawing.layout import Edge, arrange
from difflab.walk.drawing.lettering import width
from difflab.walk.drawing.scene import Scene, Way, scene

# ---------------------------------------------------------------------------- layout


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("down", [False, True])
def test_nothing_overlaps_folded_or_unfolded(name: str, down: bool) -> None:
    trace = traced(name)
    found = graph(trace.tape, trace.values())
    root = scene(found, layered(trace.tape, found.names), parameters(trace.tape), down=down)
    keys = [one.key for one in root.scenes()]
    for unfolded in ([], keys, keys[::2]):
        assert_tidy(place(root, unfolded, down=down))


OPERATIONS = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a - b,
    lambda a, b: np.maximum(a, b),
    lambda a, b: np.sin(a) * 2.0,
    lambda a, b: nn.logsumexp(np.stack([a, b])) if np.ndim(a) == 0 else np.mean(a * b) + a,
    lambda a, b: np.where(a > b, a, 0.5),
]


@given(
    plan=st.lists(st.tuples(st.integers(0, len(OPERATIONS) - 1), st.integers(0, 99), st.integers(0, 99)), max_size=45),
    contained=st.booleans(),
    array=st.booleans(),
    folds=st.lists(st.booleans(), max_size=60),
    down=st.booleans(),
)
def test_random_graphs_are_whole_and_tidy(
    plan: list[tuple[int, int, int]], contained: bool, array: bool, folds: list[bool], down: bool
) -> None:
    def function(given: Any, extra: Any) -> Any:
        values = [*given.values(), extra] if contained else [given, extra]
        for which, one, two in plan:
            values.append(OPERATIONS[which](values[one % len(values)], values[two % len(values)]))
        return np.sum(values[-1])

    one, two = (np.array([0.5, -1.0, 2.0]), np.array([1.0, 0.25, -0.5])) if array else (0.5, -1.5)
    trace = dl.trace(function, {"a": one, "b": two} if contained else one, two)
    found = trace.draw()
    root = found.scene
    assert sorted(root.order()) == list(range(len(trace.tape)))
    makers = {equation.output: at for at, equation in enumerate(trace.tape.equations)}
    turn = {position: at for at, position in enumerate(root.order())}
    for use in found.graph.uses[:-1]:
        assert use.value not in makers or turn[makers[use.value]] < turn[use.position]
    keys = {item.key for one_scene in root.scenes() for item in one_scene.items if item.key}
    assert keys >= {f"e{at}" for at in range(len(trace.tape))} | {f"s{number}" for number in trace.tape.inputs}
    chosen = [one_scene.key for one_scene, fold in zip(root.scenes(), folds, strict=False) if not fold]
    assert_tidy(place(root, chosen, down=found.down))
    assert_tidy(place(root, [one_scene.key for one_scene in root.scenes()], down=down))
    uses = [use[:3] for one_scene in root.scenes() for way in _into_gates(one_scene) for use in way.uses]
    assert sorted(uses) == sorted(use[:3] for use in found.graph.uses if use.value in found.graph.rows)


def _into_gates(one: Scene) -> list[Way]:
    """Edges that end at a gate or at the result."""
    return [way for way in one.ways if one.items[way.chain[-1]].key.startswith("e")]


def test_crossings_are_removed_where_they_can_be() -> None:
    crossed = [Edge(0, 5), Edge(1, 4), Edge(2, 3), Edge(3, 6), Edge(4, 7), Edge(5, 8)]
    ranks = arrange(9, crossed, framed=False, late=False).ranks
    place_of = {item: at for rank in ranks for at, item in enumerate(rank)}
    for one, two in itertools.combinations(crossed, 2):
        if (one.source < 3) == (two.source < 3):
            order = place_of[one.source] - place_of[two.source], place_of[one.target] - place_of[two.target]
            assert order[0] * order[1] > 0


def test_chain_is_straight_and_neighbours_keep_their_distance() -> None:
    found = dl.trace(lambda x: np.exp(np.sin(np.cos(x))), 1.0).draw()
    placed = place(found.scene, (), down=False)
    assert len({round(y, 6) for _, y in placed.centres}) == 1
    wide = dl.trace(lambda *xs: sum(xs[1:], xs[0]), *[1.0] * 5).draw()
    placed = place(wide.scene, (), down=False)
    ys = sorted(placed.centres[at][1] for at, item in enumerate(wide.scene.items) if item.key.startswith("s"))
    heights = [item.height for item in wide.scene.items if item.key.startswith("s")]
    assert all(b - a >= heights[0] + SEPARATION - 1e-9 for a, b in itertools.pairwise(ys))


def test_widths_are_those_of_a_wide_font_at_least() -> None:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    texts = ["v12 = max(0, v11)", "-0.95892", f"64{TIMES}10, norm 4.958", "softmax_cross_entropy", "dy/dw0 = 1.5"]
    texts += ["multiply swaps", "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    texts += ["+-*/=<>()[]{}.,:;'"]
    for text in texts:
        real = TextPath((0, 0), text, size=12, prop=FontProperties(family="DejaVu Sans")).get_extents().width
        assert real <= width(text, 12.0) <= 1.4 * real + 6, text


def test_boxes_are_as_large_as_their_lines() -> None:
    for one in drawn("digits-cnn").scene.scenes():
        for item in one.items:
            if isinstance(item.what, Box):
                for line in item.what.lines:
                    assert width(line.text, boxes.SIZES[line.kind]) < item.width
                assert sum(boxes.HEIGHTS[line.kind] for line in item.what.lines) < item.height
