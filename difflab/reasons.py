"""A decision about backends in sentences: why this one, why not the others, and what would have to give way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from . import decision
from .decision import Candidate, Wanted
from .report import numbers
from .report.cases import OUTCOMES


class Words:
    """Sentences about one decision.

    Args:
        wanted: the limits.
        candidates: what was measured.
        found: what was decided.

    >>> known = [Candidate("a", digits=9.0, call_s=0.5), Candidate("b", digits=9.0, call_s=2.0)]
    >>> words = Words(Wanted(calls=3), known, decision.decide(known, Wanted(calls=3)))
    >>> words.rejected(known[1])
    'right, and takes 4.0 times as long'
    """

    def __init__(self, wanted: Wanted, candidates: Sequence[Candidate], found: decision.Decision) -> None:
        self.wanted, self.candidates, self.found = wanted, candidates, found

    def reason(self, best: Candidate) -> str:
        """One sentence: who, why, at what price."""
        meet, tied, calls = self.found.meet, self.found.tied, self.wanted.calls
        some = [one for one in tied if one is not best]
        if self.wanted.limited:
            only, several = "backend that meets the limits", "backends that meet the limits"
        else:
            only = "backend with a right result" if best.digits is not None else "backend with a result"
            several = only.replace("backend", "backends").replace("a right result", "right results")
        if len(meet) == 1:
            rank = f"the only {only}"
        elif not some:
            rank = f"the quickest of the {len(meet)} {several}"
        else:
            rank = f"one of the quickest of the {len(meet)} {several}; {numbers.listed([one.label for one in some])} "
            rank += f"cannot be told from it in time, and it is {self._advantage(best, some)}"
        digits = "" if best.digits is None else f"{numbers.digits(best.digits)} certified digits, "
        size = f"{numbers.size_in_bytes(best.memory)} of arrays ({best.known_by}), and "
        memory = "" if best.memory is None else size
        each = numbers.seconds(best.call_s)
        each = f"{each} each once prepared" if calls > 1 else f"a further one {each}"
        total = f"{calls_text(calls)} {'take' if calls > 1 else 'takes'} {numbers.seconds(best.total_s(calls))}"
        return f"Take {best.label}, {rank}: {digits}{memory}{total} with preparing ({each})."

    def _advantage(self, best: Candidate, others: Sequence[Candidate]) -> str:
        digits = max((-1.0 if one.digits is None else one.digits) for one in others)
        if best.digits is not None and best.digits >= digits + decision.ALIKE_DIGITS:
            return "the most accurate"
        known = [one.memory for one in others if one.memory is not None]
        if best.memory is not None and known and best.memory * decision.ALIKE_MEMORY < min(known):
            return "the one with the least memory"
        return "not behind in anything else"

    def others(self, best: Candidate) -> list[str]:
        """What the rest of the front buys, and for what."""
        calls, found = self.wanted.calls, []
        for one in self.found.front:
            if one is best or one in self.found.tied:
                continue
            gains, prices = [], []
            if (one.digits or 0.0) >= (best.digits or 0.0) + decision.ALIKE_DIGITS:
                gains.append(f"{numbers.digits((one.digits or 0.0) - (best.digits or 0.0))} more digits")
            if one.memory and best.memory and one.memory * decision.ALIKE_MEMORY < best.memory:
                gains.append(f"{numbers.size_in_bytes(one.memory)} of arrays instead of "
                             f"{numbers.size_in_bytes(best.memory)}")  # fmt: skip
            ratio = one.total_s(calls) / best.total_s(calls)
            if ratio < 1 / decision.TIED:
                gains.append(f"{numbers.factor(1 / ratio)} times the speed")
            elif ratio > decision.TIED:
                prices.append(f"{numbers.factor(ratio)} times the time")
            if (one.digits or 0.0) <= (best.digits or 0.0) - decision.ALIKE_DIGITS:
                prices.append(f"{numbers.digits((best.digits or 0.0) - (one.digits or 0.0))} fewer digits")
            if gains and prices:
                found.append(f"{one.label} would buy {numbers.listed(gains)} for {numbers.listed(prices)}.")
        return found

    def rejected(self, one: Candidate) -> str:
        """Why not this one, without a full stop."""
        if not one.measured:
            why = one.reason.rstrip(".") or "it was not timed"
            return f"{OUTCOMES[one.outcome][0]}: {why}" if one.outcome != "ok" else why
        if misses := [self._miss(one, which) for which in decision.broken(one, self.wanted)]:
            return "; ".join(misses)
        best = self.found.best
        assert best is not None  # it meets the limits, so there is one
        start = "meets the limits" if self.wanted.limited else "right" if one.digits is not None else "not certified"
        if one in self.found.tied:
            advantage = self._advantage(best, [one])
            return f"{start}; its time cannot be told from that of {best.label}, which is {advantage}"
        ratio = one.total_s(self.wanted.calls) / best.total_s(self.wanted.calls)
        return f"{start}, and takes {numbers.factor(ratio)} times as long"

    def _miss(self, one: Candidate, which: str) -> str:
        """By how much a limit is missed."""
        wanted = self.wanted
        if which == "digits":
            if one.digits is None:
                return f"no digits are certified, and {wanted.digits:g} are wanted"
            return f"{numbers.digits(one.digits)} certified digits, and {wanted.digits:g} are wanted"
        if which == "memory":
            if one.memory is None:
                return "its memory is not known"
            ratio = numbers.factor(one.memory / (wanted.memory or math.inf))
            size = f"{numbers.size_in_bytes(one.memory)} of arrays ({one.known_by})"
            return f"{size}, {ratio} times the limit of {numbers.size_in_bytes(wanted.memory)}"
        ratio = numbers.factor((one.call_s or math.inf) / (wanted.seconds or math.inf))
        return f"{numbers.seconds(one.call_s)} a call, {ratio} times the limit of {numbers.seconds(wanted.seconds)}"

    def nothing(self) -> str:
        """One sentence: nobody, and how far each limit reaches."""
        if not any(one.measured for one in self.candidates):
            return "No backend can be recommended: none gave a right result in the time and memory that was allowed."
        misses = {which: [] for which in decision.DISTANCES}
        for one in self.candidates:
            for which in decision.broken(one, self.wanted) if one.measured else ():
                misses[which].append(one.label)
        names = {"digits": "the digits exclude", "memory": "the memory excludes", "seconds": "the time excludes"}
        parts = [f"{names[which]} {numbers.listed(found)}" for which, found in misses.items() if found]
        if refused := [one.label for one in self.candidates if one.outcome == "skipped_predicted"]:
            parts.append(f"forecasts exclude {numbers.listed(refused)}")
        return f"No backend meets the limits: {numbers.listed(parts)}."

    def relaxing(self) -> list[str]:
        """What would do if one limit gave way."""
        wanted, found = self.wanted, []
        if not any(one.measured for one in self.candidates):
            inexact = [one for one in self.candidates if one.outcome == "invalid" and (one.digits or 0.0) >= 1.0]
            near = [one for one in inexact if not set(decision.broken(one, wanted)) - {"digits"}]
            if near:
                best = max(near, key=lambda one: one.digits or 0.0)
                found.append(f"Where {math.floor(10 * (best.digits or 0.0)) / 10:g} digits are enough, ask for them: "
                             f"{best.label} has so many.")  # fmt: skip
        for which, one in decision.relaxed(self.candidates, wanted).items():
            if which == "digits":
                now = "without a limit of digits" if one.digits is None else (
                    f"with {math.floor(10 * one.digits) / 10:g} digits instead of {wanted.digits:g}")  # fmt: skip
            elif which == "memory":
                now = f"with {numbers.size_in_bytes(one.memory)} instead of {numbers.size_in_bytes(wanted.memory)}"
            else:
                now = f"with {numbers.seconds(one.call_s)} a call instead of {numbers.seconds(wanted.seconds)}"
            found.append(f"{now[0].upper()}{now[1:]}, {one.label} would do.")
        if not found and any(one.measured for one in self.candidates):
            found.append("No single limit is to blame: each backend misses two of them or more.")
        return found


def together(reasons: Mapping[str, str]) -> list[str]:
    """One sentence for each reason, with all that share it.

    Args:
        reasons: by backend, without full stops.

    >>> together({"a": "too slow", "b": "wrong", "c": "too slow"})
    ['a and c: too slow.', 'b: wrong.']
    """
    labels: dict[str, list[str]] = {}
    for label, reason in reasons.items():
        labels.setdefault(reason, []).append(label)
    return [f"{numbers.listed(who)}: {reason}." for reason, who in labels.items()]


def calls_text(calls: int) -> str:
    """A number of calls in words.

    >>> calls_text(1), calls_text(1000)
    ('1 call', '1 000 calls')
    """
    return numbers.counted(calls, "call")
