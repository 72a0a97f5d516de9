"""What it takes to derive and compile expressions, forecast from shapes: operations, bytes and seconds."""

from __future__ import annotations

from typing import NamedTuple

from ..tape import Tape
from .swell import forecast

# Seconds, measured with SymPy 1.14 on one x86-64 core: to start, to build or differentiate one subexpression, to share
# and compile one, to do all of that with a second derivative, and to print and compile one operation of a tree when
# nothing is shared; bytes, likewise.
START_S = 0.4
NODE_S = 1.2e-5
SHARED_S = 5e-5
CURVATURE_S = 3.5e-4
TREE_S = 2.5e-5
NODE_BYTES = 400
TREE_BYTES = 400
# Of a graph: operations of value and derivatives for every subexpression of the loss (measured: 0.7 to 4), and for
# every one and symbol; seconds and bytes to build, differentiate and compile one of them.
GRAPH_START_S = 0.001
ROOTED = 2.5
PER_SYMBOL = 1.5
GRAPH_S = 1.5e-5
GRAPH_BYTES = 1500


# How much longer it takes to make other programs than plain Python, in the middle of what was measured on graphs of 300
# to 21 000 operations: 5 to 30 times with NumPy's names, 8 to 25 times with a C compiler.
SLOWER = {"python": 1.0, "numpy": 10.0, "cupy": 10.0, "c": 20.0}


class Forecast(NamedTuple):
    """Operations of value and derivatives, bytes while they are made, seconds to derive and compile.

    ``compiled``: operations of the code, where what occurs twice is computed once.
    """

    operations: float
    nbytes: float
    seconds: float
    compiled: float


def of_graph(tape: Tape, leaves: tuple[int, ...], wrt: tuple[int, ...], order: str, twice: bool) -> Forecast:
    """Of a graph in which every distinct expression stands once.

    Args:
        tape: the function.
        leaves: positions of the inputs whose entries become symbols.
        wrt: positions of those by which is differentiated.
        order: of differentiation: "root", "symbol" or "auto".
        twice: whether second derivatives are made too.
    """
    size = forecast(tape, leaves, shared_minors=True)
    rooted = ROOTED * size.nodes * sum(tape.avals[number].size for number in tape.outputs)
    forward = PER_SYMBOL * size.slopes + size.nodes
    operations = {"auto": min(rooted, forward), "root": rooted, "symbol": forward}[order]
    if twice:  # below the root of the loss everything depends on every symbol
        operations += size.nodes * sum(tape.avals[tape.inputs[i]].size for i in wrt)
    return Forecast(operations, GRAPH_BYTES * operations, GRAPH_START_S + GRAPH_S * operations, operations)


def of_trees(tape: Tape, leaves: tuple[int, ...], cse: bool, twice: bool) -> Forecast:
    """Of expressions of SymPy; operations are those of trees.

    Args:
        tape: the function.
        leaves: positions of the inputs whose entries become symbols.
        cse: whether common subexpressions are shared before code is made.
        twice: whether second derivatives are made too.
    """
    size = forecast(tape, leaves)
    nodes, trees = size.nodes + size.slopes, size.value + size.gradient
    again = size.curvatures if twice else 0.0
    trees += size.hessian if twice else 0.0
    seconds = START_S + NODE_S * nodes
    seconds += SHARED_S * nodes + CURVATURE_S * again if cse else NODE_S * again + TREE_S * trees
    nbytes = NODE_BYTES * (nodes + again) + (0.0 if cse else TREE_BYTES * trees)
    return Forecast(trees, nbytes, seconds, min(trees, nodes + again) if cse else trees)
