"""The page of a study of training: who takes the same path, how far along it in the same time, and what was learned."""

from __future__ import annotations

from collections.abc import Sequence

from .. import numbers
from ..answer import Answer
from ..cases import Case, method
from ..kinds import Listing, Sections
from ..style import drawing, looks
from ..tables import Cell, Table
from ..terms import Term
from . import examined, training_charts, training_pictures
from .training_runs import EXACT, Field, Run, fields

SAME = 1e-3  # losses that differ by less are called the same
PARTED = 1e-6  # from which departure on a path is said to part
AMPLIFIED = 1e-9  # a departure of exact gradients that no single rounding explains
MOST_NAMED = 4
STOPPED = {"max_iters": "all steps done", "precision": "steps too short to go on", "seconds": "time over"}
GLOSSARY = (
    Term(
        "Step",
        "One change of all parameters against their gradient, as long as the rate times the gradient.",
        ("steps",),
    ),
    Term(
        "Batch",
        "The examples that one step sees. They are shuffled anew in every pass over the data, for every way of "
        "getting the gradient in the same order.",
        ("batches",),
    ),
    Term(
        "Departure",
        "By how much the loss differs, after equally many steps, from that of the hand-derived gradient (or else of "
        "reverse mode), as a share of it. Around 10⁻¹⁶ it is rounding.",
        ("departures",),
    ),
    Term(
        "Amplified rounding",
        "Where the loss has a ridge, two paths that differ in the last digit go down different sides. From there on "
        "even exact gradients part, and none of them is more right than another.",
        ("amplifies rounding",),
    ),
    Term(
        "Held-out digits",
        "Images that training never saw: what is right among them has been learned, not remembered.",
        ("held-out", "held out"),
    ),
    Term(
        "Regularisation",
        "A penalty on large weights, its strength \u03bb times the sum of their squares, added to the loss. The "
        "stronger it is, the smoother the border between the regions.",
        ("regularised", "\u03bb"),
    ),
)
METHOD = (
    "Every case trains alone on the machine, from the same parameters, with the same batches at the same rate. The "
    "clock counts everything that training needs: recording, differentiating and compiling first, then every step, the "
    "choice of its batch included. The loss of the charts is that over all the data trained on, which is computed "
    "outside the clock at steps that lie ever farther apart, the same ones for every case. Each case runs once, so "
    "times that are some per cent apart are not different.",
)


def sections(cases: Sequence[Case]) -> Sections:
    """The answer, the charts and the table of a study of training.

    Args:
        cases: all rows of a run, with their findings.
    """
    found = fields(cases)
    if not found:
        return Sections(examined.nothing(cases, "Nothing was trained", _caveats(cases)))
    styles = looks(list(cases))
    with drawing():
        curves = training_charts.charts(found, styles)
    pictures = training_pictures.charts(found)
    return Sections(
        Answer(tuple(_sentences(found)), _caveats(cases)),
        (*pictures, *curves) if _by_strength(found) else (*curves, *pictures),  # what the answer speaks of comes first
        tables=(_summary(found),),
        glossary=GLOSSARY,
        method=METHOD,
    )


# ------------------------------------------------------------------------------------------------ the answer


def _sentences(found: Sequence[Field]) -> list[str]:
    series = sorted(_by_strength(found), key=lambda own: -own[0].n_params)
    strengths = [text for text in map(_strengths, series) if text]
    rivals = [field for field in found if len(field.moved) > 1] or list(found)
    main = max(rivals, key=lambda field: field.n_params)
    said = [*strengths, *([_same_regions(found)] if strengths else []), _path(main), _times(main)]
    others = [text for field in rivals if field is not main and (text := _elsewhere(field))]
    if others and not strengths:
        said.append(f"Losses elsewhere: {'; '.join(others)}.")
    said.append(_amplified(rivals))
    return [text for text in said if text]


def _path(field: Field) -> str:
    """Whether all take the same path, as far as all of them went."""
    if len(field.moved) < 2:
        only = field.moved[0] if field.moved else field.runs[0]
        reached = "no finite loss" if only.last is None else f"a loss of {_loss(only.last)}"
        return f"On {field.place}, {_who(only)} alone was trained: {reached} after {_steps(only.done)}."
    step = field.common
    far, departure = field.farthest(step)
    reference = field.reference
    if departure is None:
        return f"On {field.place}, {_who(far)} has no finite loss after {_steps(step)}."
    there = _loss(reference.at(step))
    if departure <= SAME:
        every = "both" if len(field.moved) == 2 else f"all {_word(len(field.moved))} ways"
        within = f"with differences of at most {numbers.scaled(departure)} of it" if departure else "to the last digit"
        return f"On {field.place}, {every} reach the same loss after {_steps(step)}: {there}, {within}."
    return (
        f"On {field.place} the paths part: after {_steps(step)} the loss is {_loss(far.at(step))} with {_who(far)} and "
        f"{there} with {_who(reference)}."
    )


def _times(field: Field) -> str:
    """Who is ahead when the time is over, and by how much; or how long all took for the same steps."""
    general = [run for run in field.runs if not run.yardstick and not run.diverged]
    if len(general) < 2:
        return ""
    fast = max(general, key=lambda run: (run.done, -run.total))
    slow = min(general, key=lambda run: (run.done, -run.total))
    if not any(run.stopped == "seconds" for run in general):
        factor = slow.total / fast.total
        return (
            f"For {_steps(fast.done)} {_who(fast)} took {numbers.seconds(fast.total)}, and {_who(slow)} "
            f"{numbers.seconds(slow.total)} for {_its(fast, slow)}, {numbers.factor(factor)} times as long."
        )
    if fast.stopped == "seconds":
        text = f"In the same {numbers.seconds(slow.total)} {_who(fast)} took {_steps(fast.done)} and {_who(slow)} "
    else:
        text = (
            f"In {numbers.seconds(fast.total)} {_who(fast)} took {_steps(fast.done)}, and in "
            f"{numbers.seconds(slow.total)} {_who(slow)} "
        )
    return text + f"{numbers.grouped(slow.done)}, {_outcome(fast, slow)}."


def _its(fast: Run, slow: Run) -> str:
    return "as many" if slow.done == fast.done else _steps(slow.done)


def _outcome(fast: Run, slow: Run) -> str:
    if fast.last is None or slow.last is None:
        return "and one of the two has no finite loss"
    better = "so the loss is" if fast.last < slow.last else "and yet the loss is"
    text = f"{better} {_loss(fast.last)} against {_loss(slow.last)}"
    if fast.score and slow.score:
        one, other = fast.score, slow.score
        against = f"against {other['right']}" if one["right"] != other["right"] else "with both"
        text += f", and of {numbers.grouped(one['of'])} {one['what']} {one['right']} are right {against}"
    painted = [(run.more.get("inpainted") or {}).get("error") for run in (fast, slow)]
    if None not in painted:
        text += f", and hidden pixels are painted with an error of {painted[0]:.3f} against {painted[1]:.3f}"
    return text


def _elsewhere(field: Field) -> str:
    step = field.common
    far, departure = field.farthest(step)
    if departure is None:
        return f"on {field.place} that of {_who(far)} is not finite after {_steps(step)}"
    if departure <= SAME:
        return f"on {field.place} all are within {numbers.scaled(departure)} after {_steps(step)}"
    return f"on {field.place} that of {_who(far)} is {numbers.factor(100 * departure)} % off after {_steps(step)}"


def _amplified(found: Sequence[Field]) -> str:
    """Where exact gradients part by more than rounding explains."""
    most: list[tuple[float, Field, Run]] = []
    for field in found:
        for run in field.runs:
            if run.family in EXACT and field.reference.family in EXACT and run is not field.reference:
                most.append((max((d for _, d in field.departures(run)), default=0.0), field, run))
    if not most:
        return ""
    departure, field, run = max(most, key=lambda one: one[0])
    if departure <= AMPLIFIED:
        return f"The exact gradients keep together everywhere, within {numbers.scaled(departure)}." if departure else ""
    return (
        f"On {field.place} even exact gradients part, {_who(run)} by up to {numbers.scaled(departure)}: the path "
        "amplifies rounding."
    )


def _by_strength(found: Sequence[Field]) -> list[list[Field]]:
    """Fields that differ in the strength of the penalty only, from weak to strong."""
    series: dict[tuple[str, str, int], list[Field]] = {}
    for field in found:
        if field.example.strength is not None:
            key = (field.runs[0].case.problem, field.runs[0].case.dtype, field.n_params)
            series.setdefault(key, []).append(field)
    return [sorted(own, key=lambda field: field.example.strength or 0.0) for own in series.values() if len(own) > 1]


def _strengths(series: Sequence[Field]) -> str:
    """What a stronger penalty does to one classifier."""
    weak, strong = series[0].example, series[-1].example
    parts = []
    if weak.score and strong.score:
        of, before, after = weak.score["of"], *(one["of"] - one["right"] for one in (weak.score, strong.score))
        instead = "" if before == after else f"instead of {before} "
        still = "still " if before == after else ""
        parts.append(f"{still}puts {after} {instead}of {of} {weak.score['what']} on the wrong side")
    if weak.weights_length and strong.weights_length:
        verb = "shrink" if strong.weights_length < weak.weights_length else "grow"
        lengths = [numbers.significant(one, 2) for one in (weak.weights_length, strong.weights_length)]
        parts.append(f"its weights {verb} from a length of {lengths[0]} to {lengths[1]}")
    if weak.regions and strong.regions:
        edges = [training_pictures.border(one.regions) for one in (weak, strong)]
        verb = "shrinks" if edges[1] < edges[0] else "grows"
        change = f"{verb} from {edges[0]} to {edges[1]}" if edges[0] != edges[1] else f"stays at {edges[0]}"
        parts.append(f"the border between its regions {change} edges of cells")
    if not parts:
        return ""
    title = f"As \u03bb goes from {weak.strength:g} to {strong.strength:g}, the classifier with "
    return f"{title}{numbers.counted(series[0].n_params, 'parameter')} {numbers.listed(parts)}."


def _same_regions(found: Sequence[Field]) -> str:
    """Whether the way of getting the gradient shows in the regions, after as many steps and after fewer."""
    apart: dict[bool, list[tuple[float, Field, Run]]] = {True: [], False: []}
    for field in found:
        for run in field.moved:
            share = training_pictures.difference(field.example.regions, run.regions)
            if share is not None and run is not field.example:
                apart[run.done == field.example.done].append((share, field, run))
    said = []
    if apart[True]:
        share, field, run = max(apart[True], key=lambda one: one[0])
        said.append(
            "After as many steps every way of getting the gradient draws the same regions, cell for cell"
            if not share
            else "After as many steps the regions differ by the way of getting the gradient, most on "
            f"{field.place}: those of {_who(run)} in {numbers.factor(100 * share)} % of the cells from those of "
            f"{_who(field.example)}"
        )
    share, field, run = max(apart[False], key=lambda one: one[0], default=(0.0, found[0], found[0].example))
    if share:
        said.append(
            f"where the time was over earlier they differ in at most {numbers.factor(100 * share)} % of the cells "
            f"({_who(run)} on {field.place} after {_steps(run.done)})"
        )
    text = "; ".join(said)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _who(run: Run) -> str:
    return method(run.case)


def _word(count: int) -> str:
    words = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    return words[count] if count < len(words) else str(count)


def _steps(count: int) -> str:
    return numbers.counted(count, "step")


def _loss(value: float | None) -> str:
    return numbers.NOTHING if value is None else training_charts.loss_words(value)


def _caveats(cases: Sequence[Case]) -> tuple[str, ...]:
    said = []
    for case in cases:
        if case.outcome == "interrupted":
            continue
        where = f"{case.backend} on {case.place}"
        if not case.findings:
            said.append(f"{where}: {case.outcome_words}{f', {case.reason}' if case.reason else ''}".rstrip(".") + ".")
        elif str(case.findings.get("stopped", "")).startswith("diverged"):
            said.append(f"{where} {case.findings['stopped']}.")
        elif not case.findings.get("done"):
            said.append(f"{where} took no step: preparing took {numbers.seconds(case.findings.get('prepare_s'))}.")
    if len(said) > MOST_NAMED:
        said[MOST_NAMED:] = [f"{numbers.counted(len(said) - MOST_NAMED, 'further case')} ended early."]
    if still := sum(case.outcome == "interrupted" for case in cases):
        trained = f"{numbers.grouped(len(cases) - still)} of {numbers.counted(len(cases), 'case')}"
        said.insert(0, f"Unfinished: {trained} trained so far.")
    return tuple(said)


# ------------------------------------------------------------------------------------------------ the table


def _summary(found: Sequence[Field]) -> Listing:
    columns = (
        "Gradient", "Steps", "Prepare", "One step", "All in all", "Loss at the end", "Right", "Stopped",
        "Largest departure", "Parts at step",
    )  # fmt: skip
    rows = tuple(_row(field, run) for field in found for run in field.runs)
    kept = [k for k in range(len(columns)) if any(row[k].text for row in rows)]
    rated = "; ".join(f"{field.example.rate:g} on {field.place}" for field in found)
    scored = list(dict.fromkeys(run.score["what"] for field in found for run in field.runs if run.score))
    text = (
        f"The rates are {rated}. The loss is that over all the data trained on. "
        + (f"Right counts {numbers.listed(scored)}. " if scored else "")
        + "The largest departure is that of the loss at equal steps from the hand-derived gradient, or else from "
        f"reverse mode; a path parts at the first step with a departure above {numbers.scaled(PARTED)}."
    )
    table = Table(tuple(columns[k] for k in kept), tuple(tuple(row[k] for k in kept) for row in rows))
    return Listing("trained", "What each reached", text, table)


def _row(field: Field, run: Run) -> tuple[Cell, ...]:
    departures = field.departures(run)
    most = max((d for _, d in departures), default=None)
    parts = next((step for step, d in departures if d > PARTED), None)
    reference = run is field.reference
    score = run.score
    return (
        Cell(run.case.backend, under=field.place),
        Cell(numbers.grouped(run.done), float(run.done), True),
        Cell(numbers.seconds(run.prepare_s), run.prepare_s, True),
        Cell("" if run.step_s is None else numbers.seconds(run.step_s), run.step_s, True),
        Cell(numbers.seconds(run.total), run.total, True),
        Cell("not finite" if run.last is None else _loss(run.last), run.last, True),
        Cell(training_pictures.right(run), score["right"] / score["of"] if score else None, True),
        Cell(STOPPED.get(run.stopped, run.stopped)),
        Cell("the reference") if reference else Cell("" if most is None else numbers.scientific(most), most, True),
        Cell("" if reference or most is None else "never" if parts is None else numbers.grouped(parts), parts, True),
    )
