"""The words of the field that pages use, each with what it means in a sentence or two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .cases import NOT_BEGUN, OUTCOMES, WRONG, Case
from .nouns import NOUNS
from .numbers import PLUS_MINUS
from .terms import Term

AMBIGUOUS = ("finished", "lost", "interrupted")  # words of outcomes that texts use in other senses too

GLOSSARY: tuple[Term, ...] = (
    # What is differentiated, and how.
    Term("Loss", "The one number that says how wrong a model is. Training makes it small.", ("losses",)),
    Term(
        "Parameters",
        "The numbers that training changes: weights and biases. Their count is the size of the problem.",
        ("parameter",),
    ),
    Term(
        "Gradient", "One slope per parameter: how the loss changes when this parameter grows a little.", ("gradients",)
    ),
    Term(
        "Backend",
        "One way of differentiating as a program, with its options: difflab's own, or another library.",
        ("backends",),
    ),
    Term(
        "Finite differences",
        "Change each parameter a little, evaluate the loss again, divide the difference by the step: one or two "
        "evaluations per parameter, and an error that no step makes vanish.",
        (
            "finite",
            "finite difference",
            "difference quotient",
            "difference quotients",
            "quotient of differences",
            "quotients of differences",
            "forward difference",
            "central difference",
        ),
    ),
    Term(
        "Order of a scheme",
        "A scheme of finite differences of order p has an error that falls with the p-th power of the step.",
        ("order 2", "order 4", "order 6", "order 8"),
    ),
    Term(
        "Richardson extrapolation",
        "Finite differences with several steps, combined so that the leading errors cancel; what is left is estimated.",
        ("Richardson",),
    ),
    Term(
        "Complex step",
        "Change each parameter by a tiny imaginary number and read the slope from the imaginary part: nothing is "
        "subtracted, so no digit is lost.",
        ("complex-step",),
    ),
    Term(
        "Symbolic differentiation",
        "Write the loss as one formula and differentiate the formula. Exact, but formulas swell.",
        ("symbolic", "symbolically"),
    ),
    Term(
        "Forward mode",
        "Carry the derivative along a direction through the loss, step by step. Exact; a direction for each parameter.",
        ("forward",),
    ),
    Term(
        "Reverse mode",
        "Run the loss once, then go back through its steps and collect all slopes at once. Exact; one pass, whatever "
        "the number of parameters. Known as backpropagation.",
        ("reverse", "backpropagation"),
    ),
    Term(
        "Primal",
        "What is differentiated, evaluated without derivatives: the loss and the values on the way to it.",
        ("primals",),
    ),
    Term(
        "Tangent",
        "What forward mode carries beside each value: how fast it changes along the chosen direction.",
        ("tangents",),
    ),
    Term(
        "Cotangent",
        "What reverse mode carries back to each value: how fast the result changes with it. Also called adjoint.",
        ("cotangents", "adjoint", "adjoints"),
    ),
    Term(
        "Hand-derived gradient",
        "Formulas that a person derived and wrote in NumPy: the yardstick for speed.",
        ("analytic", "derived by hand", "hand-derived"),
    ),
    Term("Null backend", "Returns zeros and computes nothing: what it costs is the measuring itself.", ("null",)),
    Term(
        "Tape",
        "The list of steps that evaluating the loss takes, recorded once; automatic differentiation works on it. In "
        "reverse mode the steps that collect the slopes are appended to it. Tape length: how many steps it has.",
        ("tapes", "tape length"),
    ),
    Term(
        "Equation",
        "One step of a tape: an operation, the values that it reads and the one that it makes.",
        ("equations",),
    ),
    Term(
        "Primitive",
        "An operation whose derivative is known by a rule, such as multiply, tanh or matmul.",
        ("primitives",),
    ),
    Term(
        "Kink",
        "A point where a function has a corner, as relu at 0: the slopes from both sides differ, so there is no "
        "derivative.",
        ("kinks",),
    ),
    Term(
        "Kink table",
        "Fixes one answer for every corner: the slope of relu at 0 is 0, max shares among ties, pooling goes to the "
        "first.",
    ),
    Term(
        "Tie",
        "Two numbers that are compared, as in max, are equal: the loss has a corner there, and a fixed rule says which "
        "slope counts.",
        ("ties",),
    ),
    Term(
        "Expression swell",
        "The formula of a derivative repeats parts of the formula it comes from, so it can be far larger.",
        ("swell", "swells", "swelling"),
    ),
    Term(
        "Operation counts",
        "Additions, multiplications and function calls in the formulas of symbolic differentiation: of the loss, of "
        "the gradient, and of the gradient after everything that occurs twice is computed once (shared).",
        ("Ops, loss", "Ops, gradient", "Ops, shared"),
    ),
    # How far it is right.
    Term(
        "Dtype",
        "The format of the numbers. float64 holds 15.7 decimal digits, float32 holds 6.9, float16 holds 3.0.",
        ("dtypes", "float64", "float32", "float16"),
    ),
    Term(
        "Certified reference",
        "The true result, enclosed with many more digits than the dtype holds, so an error is the distance "
        "from the truth, not from another program. Reference certified says that there was one; it is no praise of the "
        "gradient beside it.",
        ("certified", "certified references", "Reference certified"),
    ),
    Term(
        "Ball arithmetic",
        "Every number is computed with a bound on its error beside it, so that the result provably encloses the truth.",
    ),
    Term("Relative error", "The length of the error divided by the length of the true result.", ("relative errors",)),
    Term(
        "Correct digits",
        "Minus the decimal logarithm of the relative error: about how many leading digits are right, at most what the "
        "dtype holds.",
        ("digits", "correct digit"),
    ),
    Term("Worst digits", "The correct digits of the single worst parameter."),
    Term("Middle digits", "Half of the parameters have more correct digits than this, half have fewer."),
    Term(
        "Estimated error",
        "What a method that estimates its own error, such as Richardson extrapolation, says without the truth.",
    ),
    Term(
        "ULP",
        "Unit of the last place: the distance between two neighbouring numbers of a dtype at the true value. Rounding "
        "correctly is at most half a unit off. Worst ULPs: the error of the worst coordinate. A coordinate that is "
        "tiny beside the largest one counts as if it were as large as the rounding of that one.",
        ("ULPs", "worst ULPs"),
    ),
    # How long it takes.
    Term(
        "Prepare",
        "What is done once before the first call: recording, differentiating, compiling. Never mixed with the time of "
        "a call.",
        ("preparing", "prepared", "preparation"),
    ),
    Term(
        "First call",
        "The first use of what was prepared, which may compile or allocate what later calls find ready.",
        ("first calls",),
    ),
    Term(
        "Later call",
        "The steady time of each use after the first: this is the time that pages compare.",
        ("later calls", *(f"One {noun}" for noun in (*NOUNS.values(), "derivative"))),
    ),
    Term(
        "Work ratio",
        "The time of one gradient, which includes the value, or of what else the page is about, divided by the time "
        "of the loss alone, which runs as the user wrote it: below 1, what is compiled is quicker than the plain loss.",
        ("work ratios", "times the loss", "times the loss itself", "in losses"),
    ),
    Term(
        "95 % interval",
        "Made so that it covers the true median in at least 95 of 100 repetitions; from the medians of separate "
        f"processes. {PLUS_MINUS} gives its half width; where it reaches further to one side, both distances stand "
        "behind the number.",
        ("95 % intervals", "interval", "intervals", PLUS_MINUS),
    ),
    Term(
        "Verdict",
        "Faster, slower, equivalent (within 3 %) or ambiguous, compared with the baseline measured by turns with it.",
        ("verdicts", "equivalent", "ambiguous"),
    ),
    Term("Baseline", "The backend that verdicts compare the others with; the study names it.", ("baselines",)),
    Term(
        "By turns",
        "Backends that are compared compute one after the other in short turns of random order, so that the machine "
        "disturbs all of them alike.",
        ("take turns", "takes turns", "took turns"),
    ),
    Term(
        "Epoch",
        "One fresh process for each case of a block, measured by turns; every epoch starts all processes anew, and "
        "intervals are made of epochs.",
        ("epochs",),
    ),
    Term(
        "Sample",
        "As many calls as fill the time of a sample, timed together and divided by their number. Mild and severe "
        "outliers, by Tukey's rule, are counted and kept.",
        ("samples", "outliers", "outlier"),
    ),
    Term(
        "Sentinel",
        "A fixed piece of work timed between the rounds: where its time moves by more than 5 %, the machine is noisy.",
        ("sentinels", "noisy"),
    ),
    Term(
        "Quick run",
        "One process per case at the sizes of a quick run: a first look, without intervals and verdicts.",
        ("quick runs",),
    ),
    Term(
        "Evaluations",
        "How often the loss was evaluated, or passed through with a derivative, for one result.",
        ("evaluation",),
    ),
    Term(
        "Exponent",
        "The slope of a straight line through the points on logarithmic axes: what grows as n to the power 1 doubles "
        "with twice the size, what grows as n to the power 0 stays.",
        ("exponents",),
    ),
    Term(
        "Pareto front",
        "The cases that no other beats in everything shown, such as time and error: one is better in the one only by "
        "being worse in the other.",
        ("Pareto",),
    ),
    Term(
        "Censored",
        "Of a case that was stopped or refused only a bound is known: its mark is at the limit or the forecast, with "
        "an arrow.",
        ("censored points",),
    ),
    # What it needs.
    Term(
        "Peak",
        "By how much the process grew at most while it prepared and computed one result; memory that it held already "
        "is used again without growth, and growth below 256 KiB is noise of pages. The peaks of import, build (the "
        "problem and its data), prepare, the first call and a later one are each above what the process held when that "
        "began.",
        ("peaks",),
    ),
    Term(
        "Arrays",
        "All that NumPy had allocated at once, from new memory or old, so they can exceed the peak.",
        ("array bytes",),
    ),
    Term(
        "Forecast",
        "What a backend announces of its time and memory before it allocates anything.",
        ("forecasts",),
    ),
    Term(
        "Manifest",
        "The description of a run that is stored with it: study, settings, machine, versions.",
        ("manifests",),
    ),
    Term(
        "Seed",
        "The number from which all random choices of a run are drawn, so that they can be drawn again.",
        ("seeds",),
    ),
)


def outcomes(cases: Iterable[Case]) -> list[Term]:
    """One entry that says what the outcomes of these cases mean, each with its icon.

    Args:
        cases: of one page.

    Returns:
        Nothing where there is no case.
    """
    found = {case.outcome: case for case in cases}
    said, forms = [], ["outcomes"]
    for name, outcome in OUTCOMES.items():
        if name in found:
            word = found[name].outcome_words
            said.append(f"{outcome.icon} {outcome.word}: {outcome.meaning}")
            forms += [form for form in (outcome.word, word) if form not in AMBIGUOUS and form != NOT_BEGUN]
    forms += ["wrong gradients", WRONG] if "invalid" in found else []
    meaning = f"Every case ends in one way, told by a sign and a word. {'; '.join(said)}."
    return [Term("Outcome", meaning, tuple(dict.fromkeys(forms)))] if said else []


def explained(own: Iterable[Term], cases: Sequence[Case]) -> list[Term]:
    """All that a page could explain: the terms of its kind, the outcomes of its cases, and those of every page.

    Args:
        own: the terms of the kind, which go before those of every page of the same name.
        cases: of the page.
    """
    found: dict[str, Term] = {}
    for term in (*own, *GLOSSARY, *outcomes(cases)):
        found.setdefault(term.name.lower(), term)
    return list(found.values())
