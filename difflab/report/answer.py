"""The answer in at most two sentences, put together from the numbers of a run: other data give another answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import duel, grading, numbers
from .cases import YARDSTICKS, Case, Group, family_of, groups, method, tally_words
from .nouns import noun

LEVEL = 1.03  # ratios below are no practical difference
LEVEL_QUICK = 1.10  # without intervals more is needed
FEWER_DIGITS = 0.5  # below, two accuracies are called the same
MOST_NAMED = 5
HOPELESS = 7200.0  # seconds of a forecast that the answer tells
PLURAL = "finite differences"


@dataclass(frozen=True)
class Answer:
    """``sentences``, at most two, are what the run says, ``caveats`` what limits it; all are plain text."""

    sentences: tuple[str, ...]
    caveats: tuple[str, ...]

    @property
    def text(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)


@dataclass(frozen=True)
class Match:
    """The contestants of one group at the largest size at which two or more finished (or one, if two never did)."""

    group: Group
    size: str
    n_params: int
    cases: tuple[Case, ...]

    @property
    def level(self) -> tuple[Case, ...]:
        """The quickest case and those that cannot be told from it."""
        best = self.cases[0]
        return tuple(case for case in self.cases if case is best or _level(case, best))

    @property
    def where(self) -> str:
        """``digits-mlp (12 345 parameters)``."""
        return f"{self.group.title} ({numbers.counted(self.n_params, 'parameter')})"


def answer(cases: Sequence[Case], quick: bool = False) -> Answer:
    """What the cases say about which way of differentiating is quick, accurate and small enough.

    Args:
        cases: all rows of a run.
        quick: whether it was a quick run, with one process per case.

    Returns:
        The sentences; never a number or a name that is not computed from the cases.
    """
    matches = [match for group in groups(list(cases)) if (match := _match(group)) is not None]
    caveats = tuple(_caveats(cases, matches, quick))
    if not matches:
        return Answer((_unfinished(cases, _nothing(cases)),), caveats)
    if said := grading.sentence(cases):
        return Answer((_unfinished(cases, said), _first(matches, graded=True)), caveats)
    if (found := duel.duel(cases)) is not None:
        largest, pairs = found
        cost = f"One {noun(cases)} took {_cost(largest)} on {largest.place}{_right([case for _, case in pairs])}"
        cost += f"{_within([case for _, case in pairs])}."
        return Answer((_unfinished(cases, duel.sentence(pairs)), cost), caveats)
    sentences = (_unfinished(cases, _first(matches)), _second(matches, cases))
    return Answer(tuple(sentence for sentence in sentences if sentence), caveats)


# ------------------------------------------------------------------------------------------------ contestants


def _seconds(case: Case) -> float:
    return case.call_s or 0.0


def _match(group: Group) -> Match | None:
    usable = [case for case in group.cases if case.timed and family_of(case) != "null"]
    rivals = [case for case in usable if family_of(case) not in YARDSTICKS] or usable
    found = []
    for size, n_params in group.sizes:
        there = sorted((case for case in rivals if case.size == size), key=_seconds)
        if there:
            found.append(Match(group, size, n_params, tuple(there)))
    return max(found, key=lambda match: (min(2, len(match.cases)), match.n_params), default=None)


def _level(case: Case, best: Case) -> bool:
    ratio = _seconds(case) / _seconds(best)
    if case.call_s_low is None or best.call_s_high is None:
        return ratio <= LEVEL_QUICK
    return ratio <= LEVEL or case.call_s_low <= best.call_s_high


# ------------------------------------------------------------------------------------------------ the first sentence


def _first(matches: list[Match], graded: bool = False) -> str:
    """Who was quickest, with time, price and, where another sentence has not told it, accuracy."""
    what = noun(case for match in matches for case in match.cases)
    sets = [frozenset(case.backend for case in match.level) for match in matches]
    shared = frozenset.intersection(*sets)
    places = "At the largest size compared" if len(matches) == 1 else "At the largest sizes compared"
    if not shared:
        parts = [f"{_subject(m.level)} on {m.where} with {_cost(m.level[0])}" for m in matches[:MOST_NAMED]]
        more = (
            "" if len(matches) <= MOST_NAMED else f" ({numbers.counted(len(matches) - MOST_NAMED, 'more comparison')})"
        )
        return f"{places}, no way was the quickest everywhere: it was {numbers.listed(parts)}{more}."
    leaders = [tuple(case for case in match.level if case.backend in shared) for match in matches]
    subject = _subject(leaders[0])
    was = "were" if len(shared) > 1 or subject.startswith(PLURAL) else "was"
    if all(len(match.cases) == 1 for match in matches):
        verb = f"{was} the only way that gave a {what}"
    elif all(one == shared for one in sets):
        verb = f"{was} the quickest" if len(shared) == 1 else "were equally quick, and nothing was quicker"
    else:
        verb = f"{was} never beaten"
    things = "problems" if len({match.group.problem for match in matches}) == len(matches) else "comparisons"
    everywhere = (
        "" if len(matches) == 1 else f" in both {things}" if len(matches) == 2 else f" in all {len(matches)} {things}"
    )
    bests = [own[0] for own in leaders]
    if len(matches) <= 2:
        parts = [f"{_cost(best)} on {match.where}" for best, match in zip(bests, matches, strict=True)]
        cost = f"one {what} took {numbers.listed(parts)}"
    else:
        times = [_seconds(best) for best in bests]
        cost = f"one {what} took {numbers.interval(min(times), max(times))}"
        if ratios := [best.work_ratio for best in bests if best.work_ratio is not None]:
            cost += f", {_range(ratios)} times the loss itself"
    return f"{places}, {subject} {verb}{everywhere}: {cost}{'' if graded else _right(bests)}{_within(bests, graded)}."


def _subject(cases: Sequence[Case]) -> str:
    return numbers.listed([method(case) for case in cases])


def _cost(case: Case) -> str:
    """``412 us (95 % interval 405 to 420 us; 2.9 times the loss itself)``."""
    bounds = numbers.interval(case.call_s_low, case.call_s_high)
    notes = [f"95 % interval {bounds}"] if bounds else []
    if case.work_ratio is not None:
        notes.append(f"{numbers.factor(case.work_ratio)} times the loss itself")
    return numbers.seconds(case.call_s) + (f" ({'; '.join(notes)})" if notes else "")


def _right(cases: Sequence[Case]) -> str:
    """The correct digits of the quickest, at the least, and by dtype where there are several."""
    by_dtype: dict[str, list[float]] = {}
    for case in cases:
        if case.digits is not None:
            by_dtype.setdefault(case.dtype, []).append(case.digits)
    if not by_dtype:
        return ""
    least = "at least " if sum(map(len, by_dtype.values())) > 1 else ""
    if len(by_dtype) == 1:
        return f", and was right to {least}{numbers.digits(min(next(iter(by_dtype.values()))))} digits"
    parts = [f"{numbers.digits(min(found))} digits in {dtype}" for dtype, found in by_dtype.items()]
    return f", and was right to {least}{numbers.listed(parts)}"


def _within(cases: Sequence[Case], graded: bool = False) -> str:
    """The memory in which all the quickest did with, where it is known of each."""
    peaks = [case.peak_bytes for case in cases if case.peak_bytes is not None]
    if not peaks or len(peaks) < len(cases):
        return ""
    start = ", all within" if len(peaks) > 1 else " within" if _right(cases) and not graded else ", within"
    return f"{start} {numbers.trimmed(numbers.size_in_bytes(max(*peaks, numbers.RESOLUTION)))} of memory"


def _range(values: Sequence[float], write: Callable[[float], str] = numbers.factor) -> str:
    """``22 to 210``, or one number where both ends read the same."""
    low, high = write(min(values)), write(max(values))
    return low if low == high else f"{low} to {high}"


# ------------------------------------------------------------------------------------------------ the second sentence


def _second(matches: list[Match], cases: Sequence[Case]) -> str:
    """How the others compare with the quickest: slower by what factor, how many digits, or ended how."""
    leaders = frozenset.intersection(*[frozenset(case.backend for case in match.level) for match in matches])
    names = [name for name in dict.fromkeys(c.backend for c in cases if family_of(c) != "null") if name not in leaders]
    still_open = any(case.outcome == "interrupted" for case in cases)
    timed, failed = [], []
    for name in names:
        if not leaders and all(match.cases[0].backend == name for match in matches if match.group.of(name)):
            continue  # the quickest wherever it took part, which the first sentence says
        pairs = [
            (case, match.cases[0]) for match in matches if (case := match.group.at(match.size, name)) and case.timed
        ]
        own = [case for case in cases if case.backend == name]
        if pairs:
            timed.append((max(_seconds(case) / _seconds(best) for case, best in pairs), name, pairs, own))
        elif all(case.outcome != "interrupted" for case in own):  # of what is still open, nothing is known
            failed.append(_failure(own, matches))
    timed.sort(key=lambda item: item[0])
    if len(timed) > MOST_NAMED:  # the nearest, the yardsticks and the slowest say enough
        kept = [item for item in timed if family_of(item[3][0]) in YARDSTICKS]
        kept += [item for item in (timed[0], *timed[2 - MOST_NAMED :]) if item not in kept]
        timed = sorted(kept, key=lambda item: item[0])
    parts = [_slower(pairs) for _, _, pairs, _ in timed]
    parts += failed[:MOST_NAMED]
    if not parts:
        return "" if still_open else _beyond(matches)
    if len(failed) > MOST_NAMED:
        parts.append(f"{numbers.counted(len(failed) - MOST_NAMED, 'other backend')} finished at none of these sizes")
    start = "In comparison" if leaders else "In comparison with the quickest"
    further = "" if still_open else _beyond(matches).removesuffix(".")
    return f"{start}, {numbers.listed(parts)}{'; ' + further[0].lower() + further[1:] if further else ''}."


def _beyond(matches: Sequence[Match]) -> str:
    """Who alone went on to larger sizes than those compared, how far, and how long the others would take there."""
    found: dict[str, Case] = {}
    largest = ""
    for match in matches:
        usable = [c for c in match.group.cases if c.timed and family_of(c) not in YARDSTICKS]
        last = max(usable, key=lambda case: case.n_params, default=None)
        if last is not None and last.n_params > match.n_params:
            known = found.get(last.backend)
            found[last.backend] = last if known is None or known.n_params < last.n_params else known
            if last.n_params == max(case.n_params for case in found.values()):
                largest = _forecasts(last, match.group)
    if not found:
        return ""
    ends = [
        f"{method(case)} ({numbers.seconds(case.call_s)} at {numbers.counted(case.n_params, 'parameter')})"
        for case in found.values()
    ]
    return f"Of the general ways, only {numbers.listed(ends)} finished beyond these sizes{largest}."


def _forecasts(last: Case, group: Group) -> str:
    """What those that were not tried would take at the size of ``last``, where that is hours or more."""
    others = [case for case in group.cases if case.size == last.size and case.outcome == "skipped_predicted"]
    waits = sorted((case.predicted_s or 0.0, method(case)) for case in others)
    parts = [f"{numbers.seconds(wait)} for {name}" for wait, name in waits if wait >= HOPELESS]
    return f"; there the forecast is {numbers.listed(parts)}" if parts else ""


def _slower(pairs: Sequence[tuple[Case, Case]]) -> str:
    ratios = [_seconds(case) / _seconds(best) for case, best in pairs]
    text = f"{method(pairs[0][0])} took {_range(ratios)} times as long"
    known: dict[str, list[tuple[float, float]]] = {}
    for case, best in pairs:
        if case.digits is not None and best.digits is not None:
            known.setdefault(case.dtype, []).append((case.digits, best.digits))
    differ = {
        dtype: found for dtype, found in known.items() if any(abs(own - its) >= FEWER_DIGITS for own, its in found)
    }
    parts = []
    for dtype, found in differ.items():
        own, its = (_range(values, numbers.digits) for values in zip(*found, strict=True))
        unit = "" if parts else " correct digits"
        parts.append(f"{own}{unit}{f' in {dtype}' if len(known) > 1 else ''} instead of {its}")
    return f"{text} with {numbers.listed(parts)}" if parts else text


def _failure(own: Sequence[Case], matches: Sequence[Match]) -> str:
    """How far a backend came that finished at none of the sizes compared."""
    done = [case.n_params for case in own if case.ok]
    sizes = {(match.group.title, match.size) for match in matches}
    ends = [case for case in own if not case.ok and any(case.size == size for _, size in sizes)] or own
    ends = [case for case in ends if not case.ok]
    how = numbers.listed(list(dict.fromkeys(case.outcome_words for case in ends)))
    why = f" ({how})" if how else ""
    if done:
        return f"{method(own[0])} gave no {noun(own)} beyond {numbers.counted(max(done), 'parameter')}{why}"
    return f"{method(own[0])} gave no {noun(own)} at all{why}"


# ------------------------------------------------------------------------------------------------ what limits it


def _unfinished(cases: Sequence[Case], sentence: str) -> str:
    """The sentence, after how much of the run it rests on where that is not all."""
    done = sum(case.outcome != "interrupted" for case in cases)
    if done == len(cases):
        return sentence
    start = f"Unfinished: {numbers.grouped(done)} of {numbers.counted(len(cases), 'case')} measured so far"
    return f"{start}; {sentence[0].lower()}{sentence[1:]}" if sentence else f"{start}."


def _nothing(cases: Sequence[Case]) -> str:
    if not cases:
        return "This run holds no case, so there is no answer."
    ok = [case for case in cases if case.ok]
    if any(case.outcome == "interrupted" for case in cases):
        return "nothing can be compared yet."
    if ok:
        return f"{numbers.counted(len(ok), 'case')} finished but none was timed, so nothing can be said about speed."
    return (
        f"No backend gave a {noun(cases)}, so there is nothing to compare: of {numbers.counted(len(cases), 'case')}, "
        f"{tally_words(list(cases))}."
    )


def _caveats(cases: Sequence[Case], matches: Sequence[Match], quick: bool) -> list[str]:
    """Sentences about what the answer does not rest on."""
    found = []
    timed = [case for match in matches for case in match.cases]
    if timed and not any(case.call_s_low is not None for case in timed):
        why = "This was a quick run" if quick else "What is compared was timed in fewer than six processes each"
        found.append(f"{why}: there are no intervals, so differences of some ten per cent mean nothing.")
    if timed and not any(case.rel_error is not None for case in timed):
        what = noun(cases)
        found.append(f"No {what} could be checked against a certified one, so nothing is said about accuracy.")
    wrong = [case for case in cases if case.outcome == "invalid"]
    if wrong:
        several = len({case.dtype for case in cases}) > 1
        named = [f"{case.backend} on {case.place}{f' in {case.dtype}' if several else ''}" for case in wrong]
        named = list(dict.fromkeys(named))
        more = [] if len(named) <= MOST_NAMED else [f"{numbers.grouped(len(named) - MOST_NAMED)} more"]
        places = numbers.listed([*named[:MOST_NAMED], *more])
        found.append(f"Wrong {noun(cases)}s, left out of the comparison: {places}.")
    for name in dict.fromkeys(case.backend for case in cases):
        own = [case for case in cases if case.backend == name]
        if all(case.outcome == "unsupported" for case in own):
            found.append(f"{name} did not run: {own[0].reason.rstrip('.') or 'it is not available here'}.")
    return found
