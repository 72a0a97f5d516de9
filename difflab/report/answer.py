"""The answer in two short sentences, put together from the numbers of a run: other data give another answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from . import duel, grading, measured, numbers
from .cases import Case, groups, method, tally_words
from .matches import (
    MOST_NAMED,
    Match,
    Rival,
    cost,
    failures,
    further,
    leaders,
    match,
    price,
    rivals,
    seconds,
    subject,
)
from .nouns import noun

MOST_BELOW = 8  # backends that are named below the sentences
WORDS = 45  # of a sentence, as far as its numbers allow
HOPELESS = 7200.0  # seconds of a forecast that the answer tells
PLURAL = "finite differences"


@dataclass(frozen=True)
class Answer:
    """``sentences`` are what the run says, ``caveats`` what limits it, ``details`` what was too long for a sentence.

    All are plain text; the page shows two sentences large, and what is more with the details below them.
    """

    sentences: tuple[str, ...]
    caveats: tuple[str, ...]
    details: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The sentences as one text."""
        return " ".join(self.sentences)


def answer(cases: Sequence[Case], quick: bool = False) -> Answer:
    """What the cases say about which way of differentiating is quick, accurate and small enough.

    Args:
        cases: all rows of a run.
        quick: whether it was a quick run, with one process per case.

    Returns:
        The sentences; never a number or a name that is not computed from the cases.
    """
    matches = [found for group in groups(list(cases)) if (found := match(group)) is not None]
    caveats = tuple(_caveats(cases, matches, quick))
    if not matches:
        return Answer((_nothing(cases),), caveats)
    if graded := grading.sentences(cases):
        return Answer((graded[0], _first(matches, graded=True)), caveats, (*graded[1:], *_memory(matches)))
    if (found := duel.duel(cases)) is not None:
        largest, pairs = found
        own = [case for _, case in pairs]
        said = f"One {noun(cases)} took {cost(largest)}{_priced([largest])} on {largest.place}{_right(own)}."
        return Answer((duel.sentence(pairs), said), caveats, _within(own))
    second, more = _second(matches, cases)
    sentences = (_first(matches), *([second] if second else []))
    return Answer(sentences, caveats, (*more, *_memory(matches)))


# ------------------------------------------------------------------------------------------------ the first sentence


def _first(matches: Sequence[Match], graded: bool = False) -> str:
    """Who was quickest, with time, price and, where another sentence has not told it, accuracy."""
    shared = leaders(matches)
    checked = any(case.rel_error is not None for match in matches for case in match.cases)
    right = f" with a right {noun(c for m in matches for c in m.cases)}" if checked else ""
    if not shared:
        named = sorted(matches, key=lambda match: -match.n_params)[: MOST_NAMED - 2]
        parts = [f"{subject(match.level)} on {match.where} with {cost(match.level[0])}" for match in named]
        more = len(matches) - len(named)
        rest = f" ({numbers.counted(more, 'more comparison')})" if more else ""
        return f"No way was the quickest{_places(matches)}: it was {numbers.listed(parts)}{rest}."
    own = [tuple(case for case in match.level if case.backend in shared) for match in matches]
    name = subject(own[0])
    were = "were" if len(shared) > 1 or name.startswith(PLURAL) else "was"
    if all(len(match.cases) == 1 for match in matches):
        verb = f"{were} the only way{right}"
    elif all(frozenset(case.backend for case in match.level) == shared for match in matches):
        alike = "the quickest way" if len(shared) == 1 else "equally quick and the quickest ways"
        verb = f"{were} {alike}{right}"
    else:
        verb = f"{were} never beaten by another way{right}"
    bests = [cases[0] for cases in own]
    said = f"{_capital(name)} {verb}{_places(matches)}: {_costs(matches, bests)}{_priced(bests)}"
    return f"{said}{'' if graded else _right(bests)}."


def _places(matches: Sequence[Match]) -> str:
    """`` at the largest sizes of all 3 problems``; nothing where there is one size of one problem."""
    if len(matches) == 1:
        return " at the largest size compared" if len(matches[0].group.sizes) > 1 else ""
    things = "problems" if len({match.group.problem for match in matches}) == len(matches) else "comparisons"
    return f" at the largest sizes of {'both' if len(matches) == 2 else f'all {len(matches)}'} {things}"


def _costs(matches: Sequence[Match], bests: Sequence[Case]) -> str:
    """The least and the largest time of the quickest, each with where it was."""
    if len(matches) == 1:
        return f"{cost(bests[0])} on {matches[0].where}"
    least, most = min(bests, key=seconds), max(bests, key=seconds)
    if cost(least) == cost(most):
        return f"{cost(least)} each"
    if least.n_params == most.n_params:
        where = [f"{case.place} in {case.dtype}" if least.place == most.place else case.place for case in (least, most)]
        return f"{cost(least)} on {where[0]} to {cost(most)} on {where[1]}"
    return f"{cost(least)} at {numbers.counted(least.n_params, 'parameter')} to {cost(most)} at {_count(most)}"


def _count(case: Case) -> str:
    return numbers.grouped(case.n_params)


def _priced(bests: Sequence[Case]) -> str:
    """``, 2.5 ± 0.1 times the loss itself``, or ``0.73 to 2.7``: from the least to the most of several."""
    known = [case.work_ratio for case in bests if case.work_ratio is not None]
    if not known:
        return ""
    ends = [price(bests[0])] if len(bests) == 1 else [numbers.factor(choose(known)) for choose in (min, max)]
    return f", {' to '.join(dict.fromkeys(ends))} times the loss itself"


def _right(cases: Sequence[Case]) -> str:
    """The correct digits of the quickest, at the least, and by dtype where there are several."""
    by_dtype: dict[str, list[float]] = {}
    for case in cases:
        if case.digits is not None:
            by_dtype.setdefault(case.dtype, []).append(case.digits)
    if not by_dtype:
        return ""
    least = "at least " if sum(map(len, by_dtype.values())) > 1 else ""
    parts = [f"{numbers.digits(min(found))} in {dtype}" for dtype, found in by_dtype.items()]
    if len(parts) == 1:
        return f", right to {least}{parts[0].partition(' ')[0]} digits"
    return f", right to {least}{numbers.listed([parts[0].replace(' in', ' digits in'), *parts[1:]])}"


def _memory(matches: Sequence[Match]) -> tuple[str, ...]:
    """The memory in which all the quickest did with, where it is known of each."""
    shared = leaders(matches)
    return _within([case for match in matches for case in match.level if not shared or case.backend in shared])


def _within(cases: Sequence[Case]) -> tuple[str, ...]:
    peaks = [case.peak_bytes for case in cases if case.peak_bytes is not None]
    if not peaks or len(peaks) < len(cases):
        return ()
    size = numbers.trimmed(numbers.size_in_bytes(max(*peaks, numbers.RESOLUTION)))
    who = "Each of these" if len({case.backend for case in cases}) > 1 else _capital(method(cases[0]))
    return (f"{who} took at most {size} of memory at {'that size' if len(cases) == 1 else 'these sizes'}.",)


# ------------------------------------------------------------------------------------------------ the second sentence


def _second(matches: Sequence[Match], cases: Sequence[Case]) -> tuple[str, tuple[str, ...]]:
    """How the others compare with the quickest, in as many words as fit; and sentences with what did not fit."""
    found, ended = rivals(matches, cases, by_family=True), failures(matches, cases)
    start = "" if leaders(matches) else "compared with the quickest, "
    still_open = any(case.outcome == "interrupted" for case in cases)
    reach, forecast = ("", "") if still_open else _beyond(matches)
    general, others = [rival for rival in found if rival.general], [rival for rival in found if not rival.general]
    wanted = [*general[-1:], *general[:-1], *others]  # the slowest general way first, the yardsticks last
    told, briefly = _fitting(wanted, reach, briefly=False, start=start), False
    if len(told) < len(found):
        told, briefly = _fitting(wanted, reach, briefly=True, start=start), True
    ends: list[str] = []
    for end in ended:
        if _words(_joined(told, [*ends, end], reach, briefly, start)) <= WORDS:
            ends.append(end)
    known = {rival.name for rival in told if not briefly or rival.digits() == rival.digits(briefly)}
    left = [rival for rival in rivals(matches, cases, by_family=False) if rival.name not in known]
    details = [f"{_capital(_listed(left, most=MOST_BELOW))}."] if left else []
    if missing := [end for end in ended if end not in ends]:
        more = len(missing) - MOST_NAMED
        last = [f"{numbers.counted(more, 'other backend')} finished at none of these sizes"] if more > 0 else []
        details.append(f"{_capital(numbers.listed(missing[:MOST_NAMED] + last))}.")
    return _joined(told, ends, reach, briefly, start), (*details, *([forecast] if forecast else []))


def _fitting(wanted: Sequence[Rival], reach: str, briefly: bool, start: str) -> list[Rival]:
    """Of rivals, the more important first, those for which the sentence has room; the least slow first."""
    told: list[Rival] = []
    for rival in wanted:
        trial = sorted([*told, rival], key=lambda one: one.slowest)
        if not told or _words(_joined(trial, [], reach, briefly, start)) <= WORDS:
            told = trial
    return told


def _joined(told: Sequence[Rival], ends: Sequence[str], reach: str, briefly: bool, start: str) -> str:
    """One sentence of its parts; empty without any."""
    compared = start + _listed(told, briefly) if told else ""
    parts = [part for part in (compared, numbers.listed(list(ends)), reach) if part]
    return f"{_capital('; '.join(parts))}." if parts else ""


def _listed(told: Sequence[Rival], briefly: bool = False, most: int = MOST_NAMED) -> str:
    """``forward mode took 39 times as long, finite differences 60 times``: of many, the nearest and the slowest."""
    kept = list(told)
    if len(kept) > most:  # the nearest, the yardsticks and the slowest say enough
        kept = [rival for rival in told if not rival.general]
        kept += [rival for rival in (told[0], *told[2 - most :]) if rival not in kept]
        kept.sort(key=lambda rival: rival.slowest)
    more = len(told) - len(kept)
    parts = [rival.told(place == 0, briefly) for place, rival in enumerate(kept)]
    return numbers.listed(parts) + (f" ({numbers.counted(more, 'more backend')} between them)" if more else "")


def _beyond(matches: Sequence[Match]) -> tuple[str, str]:
    """Who alone went on to larger sizes than those compared; and how long the others would take there."""
    found = further(matches)
    if not found:
        return "", ""
    ends = [f"{method(case)} went on to {_count(case)}, in {cost(case)}" for case, _ in found.values()]
    ends[0] = ends[0].replace(", in", " parameters, in", 1)
    last, group = max(found.values(), key=lambda one: one[0].n_params)
    others = [case for case in group.cases if case.size == last.size and case.outcome == "skipped_predicted"]
    waits = sorted((case.predicted_s or 0.0, method(case)) for case in others)
    parts = [f"{numbers.seconds(wait)} for {name}" for wait, name in waits if wait >= HOPELESS]
    where = f"At {numbers.counted(last.n_params, 'parameter')}"
    return f"only {numbers.listed(ends)}", f"{where} the forecast is {numbers.listed(parts)}." if parts else ""


def _words(sentence: str) -> int:
    """How many words a sentence has; the intervals of its numbers are read with the numbers."""
    return len(re.sub(rf"\(\+[^)]*\)|{numbers.PLUS_MINUS} \S+", "", sentence).split())


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# ------------------------------------------------------------------------------------------------ what limits it


def _nothing(cases: Sequence[Case]) -> str:
    if not cases:
        return "This run holds no case, so there is no answer."
    ok = [case for case in cases if case.ok]
    if any(case.outcome == "interrupted" for case in cases):
        return "Nothing can be compared yet."
    if ok:
        return f"{numbers.counted(len(ok), 'case')} finished but none was timed, so nothing can be said about speed."
    return (
        f"No backend gave a {noun(cases)}, so there is nothing to compare: of {numbers.counted(len(cases), 'case')}, "
        f"{tally_words(list(cases))}."
    )


def _caveats(cases: Sequence[Case], matches: Sequence[Match], quick: bool) -> list[str]:
    """Sentences about what the answer does not rest on."""
    found = []
    if still := sum(case.outcome == "interrupted" for case in cases):
        done = numbers.grouped(len(cases) - still)
        found.append(f"Unfinished: {done} of {numbers.counted(len(cases), 'case')} measured so far.")
    timed = [case for match in matches for case in match.cases]
    if timed and not any(case.call_s_low is not None for case in timed):
        why = "This was a quick run" if quick else "What is compared was timed in fewer than six processes each"
        found.append(f"{why}: there are no intervals, so differences of some ten per cent mean nothing.")
    if timed and not any(case.rel_error is not None for case in timed):
        what = noun(cases)
        whys = {case.certified.partition("no: ")[2].rstrip(".") for case in timed} - {""}
        why = f" ({whys.pop()})" if len(whys) == 1 else ""
        found.append(f"No {what} could be checked against a certified one, so nothing is said about accuracy{why}.")
    if timed and (noise := measured.noise(cases)) is not None and 2 * noise.noisy >= noise.processes:
        found.append(
            f"The machine was unsteady: in {numbers.grouped(noise.noisy)} of "
            f"{numbers.counted(noise.processes, 'process', 'processes')} the time of a fixed piece of work moved, "
            f"by up to {100 * noise.most:.0f} %. That noise is in every time here."
        )
    wrong = [case for case in cases if case.outcome == "invalid"]
    if wrong:
        several = len({case.dtype for case in cases}) > 1
        named = [f"{case.backend} on {case.place}{f' in {case.dtype}' if several else ''}" for case in wrong]
        named = list(dict.fromkeys(named))
        more = [] if len(named) <= MOST_NAMED else [f"{numbers.grouped(len(named) - MOST_NAMED)} more"]
        places = numbers.listed([*named[:MOST_NAMED], *more])
        found.append(f"Wrong {noun(cases)}s, left out of the comparison: {places}.")
    absent: dict[str, list[str]] = {}  # by the reason, which several may share
    for name in dict.fromkeys(case.backend for case in cases):
        own = [case for case in cases if case.backend == name]
        if all(case.outcome == "unsupported" for case in own):
            absent.setdefault(own[0].reason.rstrip(".") or "not available here", []).append(name)
    return [*found, *(f"{numbers.listed(names)} did not run: {why}." for why, names in absent.items())]
