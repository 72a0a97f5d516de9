"""What the columns of frames mean, each with its unit: the one place where that is said.

``Results.frame`` and ``Comparison.frame`` carry the units in their ``attrs``; README's table is generated from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple


class Column(NamedTuple):
    """The ``unit`` of a column, empty for words and plain numbers, and what it says in a sentence.

    ``kind`` is "text", "whole" (a count), "real" or "flag" (true or false).
    """

    kind: str
    unit: str
    meaning: str


SECONDS, BYTES, RATIO, DIGITS = "seconds", "bytes", "times", "decimal digits"

MAIN: Mapping[str, Column] = {
    "problem": Column("text", "", "What is differentiated, by its name in the study."),
    "size": Column("text", "", "The size of the problem, by its name in the study."),
    "n_params": Column("whole", "parameters", "How many numbers it is differentiated by."),
    "dtype": Column("text", "", "The format of these numbers, such as float64."),
    "device": Column("text", "", "Where the derivative was computed: cpu or gpu."),
    "backend": Column("text", "", "What computed it: the label in the study, by default the name of the backend."),
    "operator": Column("text", "", "What was computed: gradient, jacobian, jvp, vjp, hvp or hessian."),
    "outcome": Column(
        "text",
        "",
        "How the case ended: ok, invalid, unsupported, timeout, memory_limit, crash, lost, interrupted or "
        "skipped_predicted.",
    ),
    "reason": Column("text", "", "Why it ended so, in a sentence; empty for ok."),
    "prepare_s": Column(
        "real", SECONDS, "What is done once before the first call: recording, differentiating, compiling."
    ),
    "first_call_s": Column("real", SECONDS, "The first call, which may compile or allocate what later calls reuse."),
    "call_s": Column("real", SECONDS, "One later call: the median over processes of their medians."),
    "call_s_low": Column("real", SECONDS, "Lower end of the 95 % interval of call_s; six processes or more have one."),
    "call_s_high": Column("real", SECONDS, "Upper end of the 95 % interval of call_s."),
    "primal_s": Column("real", SECONDS, "One call of the plain function, timed by turns with the derivative."),
    "work_ratio": Column("real", RATIO, "Time of a call over that of the plain function: the median over processes."),
    "peak_bytes": Column(
        "whole", BYTES, "By how much the process (or the pool of a GPU) grew at most, to prepare and compute once."
    ),
    "array_bytes": Column("whole", BYTES, "All that NumPy's arrays took at once during one call."),
    "predicted_bytes": Column("whole", BYTES, "The backend's forecast of its memory, made before it allocates."),
    "rel_error": Column(
        "real", "", "Distance from the certified result, divided by the length of that result (norm-wise)."
    ),
    "worst_digits": Column("real", DIGITS, "Correct digits of the worst coordinate."),
    "certified": Column(
        "text", "", "Whether there was a certified result to compare with: yes, sampled k of n, or no and why."
    ),
    "primal_calls": Column(
        "real", "evaluations", "How often the function was evaluated, or passed through with a derivative, per call."
    ),
    "tape_length": Column("whole", "equations", "Equations of the recorded program that one call runs."),
}
"""The columns that every version keeps."""

MORE: Mapping[str, Column] = {
    "family": Column("text", "", "The method of the backend: reverse, forward, finite, symbolic, ..."),
    "digits": Column("real", DIGITS, "Correct digits of the whole result: minus the logarithm of rel_error."),
    "median_digits": Column("real", DIGITS, "Half of the coordinates have more correct digits than this."),
    "worst_rel_error": Column("real", "", "Relative error of the worst coordinate."),
    "ulps": Column("real", "ULPs", "Error of the worst coordinate in units of its last place."),
    "direction_error": Column("real", "", "Worst relative error of the products with certified directions."),
    "rel_error_radius": Column("real", "", "How far rel_error itself can be off, by the width of the certificate."),
    "error_estimate": Column("real", "", "The relative error as the method itself estimates it, without the truth."),
    "tolerance": Column("real", "", "The largest rel_error that counts as right for this method, dtype and operator."),
    "processes": Column("whole", "processes", "Fresh processes in which the case was timed."),
    "calls_timed": Column("whole", "calls", "Calls of the derivative that were timed, over all processes."),
    "work_ratio_low": Column("real", RATIO, "Lower end of the 95 % interval of work_ratio."),
    "work_ratio_high": Column("real", RATIO, "Upper end of the 95 % interval of work_ratio."),
    "ratio": Column("real", RATIO, "Time of a call over that of the baseline, process by process."),
    "ratio_low": Column("real", RATIO, "Lower end of the 95 % interval of ratio."),
    "ratio_high": Column("real", RATIO, "Upper end of the 95 % interval of ratio."),
    "verdict": Column("text", "", "Against the baseline: faster, slower, equivalent (within 3 %) or ambiguous."),
    "stopped": Column("text", "", "The rule by which the case had been timed in enough processes."),
    "half_width": Column("real", "", "Half the width of the interval of call_s, divided by call_s."),
    "noisy_processes": Column("whole", "processes", "In how many of them the sentinel found the machine noisy."),
    "sentinel_moved": Column("real", "", "By which fraction the sentinel's time moved at most."),
    "gc_runs": Column("whole", "runs", "Runs of Python's garbage collector within timed calls."),
    "gc_s": Column("real", SECONDS, "Time of these runs."),
    "outliers_mild": Column("whole", "samples", "Mild outliers by Tukey's rule; they are counted and kept."),
    "outliers_severe": Column("whole", "samples", "Severe outliers by Tukey's rule; they are counted and kept."),
    "predicted_s": Column("real", SECONDS, "Forecast: to prepare and to run once."),
    "predicted_calls": Column("real", "evaluations", "Forecast of the evaluations of the function per call."),
    "predicted_flops": Column("real", "operations", "Forecast of the arithmetic operations per call."),
    "predicted_prepare_s": Column("real", SECONDS, "Forecast of prepare_s."),
    "predicted_call_s": Column("real", SECONDS, "Forecast of call_s."),
    "prepare_over_predicted": Column("real", RATIO, "Time to prepare over its forecast."),
    "call_over_predicted": Column("real", RATIO, "Time of a call over its forecast."),
    "bytes_over_predicted": Column("real", RATIO, "The highest measured peak divided by predicted_bytes."),
    "import_peak_bytes": Column("whole", BYTES, "Growth of the process while it imported."),
    "build_peak_bytes": Column("whole", BYTES, "Growth while the problem and its data were built."),
    "prepare_peak_bytes": Column("whole", BYTES, "Growth while the backend prepared."),
    "first_peak_bytes": Column("whole", BYTES, "Growth during the first call."),
    "call_peak_bytes": Column("whole", BYTES, "Growth during one later call."),
    "import_s": Column("real", SECONDS, "Time of the imports of a process."),
    "threads": Column("whole", "threads", "Threads that the linear algebra, or the backend, may use."),
    "memory_enforced": Column("text", "", "By what the limit of memory is enforced."),
    "phase": Column("text", "", "What a case was doing when it ended."),
    "case": Column("text", "", "The case by its key: the same study, problem, size and options have the same one."),
    "environment": Column("whole", "", "Number of the environment, from 0: a run may be resumed on another machine."),
}
"""Columns that most runs fill, and the key of the case."""

GPU: Mapping[str, Column] = {
    "tf32": Column("flag", "", "Whether products were allowed to round to TF32."),
    "event_s": Column("real", SECONDS, "One later call by the GPU's own clock."),
    "event_s_low": Column("real", SECONDS, "Lower end of the 95 % interval of event_s."),
    "event_s_high": Column("real", SECONDS, "Upper end of the 95 % interval of event_s."),
    "enqueue_s": Column("real", SECONDS, "Time until the call was handed to the GPU."),
    "host_bound": Column("flag", "", "Whether handing over took as long as computing: then the host sets the pace."),
    "input_copies": Column("whole", "copies", "Copies of the inputs among which the calls went round."),
    "input_cache": Column("text", "", "Whether inputs came from the cache (warm) or from memory (cold)."),
    "captured": Column("text", "", "Whether the call was replayed as one captured graph, or why not."),
    "primal_by": Column("text", "", "Who ran the plain function on the GPU."),
    "driver_bytes": Column("whole", BYTES, "By how much the free memory of the GPU shrank."),
    "mechanism": Column("text", "", "By what the limit of memory on the GPU is enforced."),
    "sm_mhz_low": Column("real", "MHz", "Lowest clock of the processors of the GPU while timing."),
    "sm_mhz_high": Column("real", "MHz", "Highest clock while timing."),
    "temperature_c": Column("real", "degrees Celsius", "Highest temperature of the GPU while timing."),
    "slowed": Column("text", "", "Why the GPU lowered its clocks, where it did."),
}
"""Columns of cases on a GPU; empty on the processor."""

NOTES: Mapping[str, Column] = {
    "call_s_least": Column("real", SECONDS, "Of a comparison: the least median of a round; no interval."),
    "call_s_most": Column("real", SECONDS, "Of a comparison: the largest median of a round."),
    "prepare_again_s": Column("real", SECONDS, "Of a comparison: the time to prepare once more, with all caches warm."),
    "held_bytes": Column("whole", BYTES, "Of a comparison: arrays of the first call after preparing afresh."),
    "black_box": Column("flag", "", "Whether the function was called as it is, because it cannot be recorded."),
    "black_box_reason": Column("text", "", "Why it cannot be recorded."),
    "buffers": Column("whole", "buffers", "Arrays that the compiled program reuses from call to call."),
    "buffer_bytes": Column("whole", BYTES, "Memory of these buffers."),
    "in_place": Column("whole", "equations", "Equations that write into the array of an operand that has served."),
    "sums_by_product": Column("whole", "equations", "Sums that are computed as a product of matrices."),
    "rows_repeated": Column("whole", "equations", "Equations with an operand that is repeated row by row beforehand."),
    "chunk": Column("whole", "directions", "Directions that go through the program side by side."),
    "chunks": Column("whole", "passes", "Runs of the program per call, one for each chunk of directions."),
    "programs": Column("whole", "programs", "Compiled programs that one call runs."),
    "programs_because": Column("text", "", "Why there are so many programs."),
    "blocks": Column("whole", "blocks", "Parts into which the batch of examples is cut."),
    "block_examples": Column("whole", "examples", "Examples in one of these parts."),
    "blocked_because": Column("text", "", "Why the batch was cut."),
    "whole_because": Column("text", "", "Why the batch was not cut."),
    "computed_in": Column("text", "", "The format in which a symbolic engine computes."),
    "derivations": Column("whole", "derivations", "How often expressions were derived; new data asks for a new one."),
    "n_symbols": Column("whole", "symbols", "Symbols of the expression: the numbers that may change."),
    "build_s": Column("real", SECONDS, "Time to write the function as an expression; part of prepare_s."),
    "diff_s": Column("real", SECONDS, "Time to differentiate the expression; part of prepare_s."),
    "compile_s": Column("real", SECONDS, "Time to compile the expressions; part of prepare_s."),
    "symbolic_ops_value": Column("whole", "operations", "Operations of the function's expression, written out."),
    "symbolic_ops_value_dag": Column("whole", "operations", "The same with what is shared counted once."),
    "symbolic_ops_gradient": Column("whole", "operations", "Operations of the derivative's expression, written out."),
    "symbolic_ops_dag": Column("whole", "operations", "Those of function and derivative, what is shared counted once."),
    "symbolic_ops_cse": Column("whole", "operations", "Operations of the code, after common parts are shared."),
    "calls": Column("whole", "calls", "Calls into another library's functions that one evaluation makes."),
    "instructions": Column("whole", "instructions", "Instructions of another library's compiled function."),
    "fused": Column("whole", "equations", "Equations that a GPU computes in a kernel with others."),
    "fused_kernels": Column("whole", "kernels", "Kernels that hold several equations."),
    "steps": Column("whole", "steps", "Calls of kernels and libraries that one call makes on a GPU."),
    "not_captured": Column("text", "", "Why the call was not captured as a graph."),
    "graph_nodes": Column("whole", "nodes", "Nodes of the captured graph."),
    "flops": Column("real", "operations", "Arithmetic operations of the products of matrices alone."),
    "shapes": Column("text", "", "The shapes of the products of matrices."),
}
"""What backends note about themselves, and comparisons besides; a column is there where some case has it."""

NESTED: Mapping[str, tuple[str, str]] = {
    "ulp_histogram": ("ulps_frame", "How many coordinates have which error in units of the last place."),
    "medians": ("processes_frame", "The median times of each process, of the derivative and of the function."),
    "epochs": ("processes_frame", "The epoch of each process: cases of one epoch took turns."),
    "options": ("options_frame", "The options of the backend."),
    "findings": ("rows", "What a study that examines its cases found in each."),
}
"""What is no single number or word: where it is found instead, and what it is."""

EVERY: Mapping[str, Column] = {**MAIN, **MORE, **GPU, **NOTES}


def units(names: Iterable[str]) -> dict[str, str]:
    """The units of columns, of those that have one.

    Args:
        names: of columns.

    Example:
        >>> units(["backend", "call_s", "my_own_note"])
        {'call_s': 'seconds'}
    """
    return {name: EVERY[name].unit for name in names if name in EVERY and EVERY[name].unit}


def meanings(names: Iterable[str]) -> dict[str, str]:
    """What columns mean, of those that are known here.

    Args:
        names: of columns.

    Example:
        >>> meanings(["first_call_s", "my_own_note"])["first_call_s"][:15]
        'The first call,'
    """
    return {name: EVERY[name].meaning for name in names if name in EVERY}
