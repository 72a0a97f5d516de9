"""Patterns that have a name: slopes of sigmoid and tanh, softmax, logsumexp, a step, sums of rows that are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .broadcasts import broadcast_vector, is_ones
from .terms import SCALAR, Add, Apply, Hadamard, Indicator, Name, Ones, Product, RowWise, Term, Transpose, Zeros

if TYPE_CHECKING:
    from .algebra import Algebra


def slopes(algebra: Algebra, powers: dict[Term, int]) -> None:
    """s(A) (1 - s(A)) is s'(A), in a product of powers; changed in place."""
    _logistic(algebra, powers)
    for term in list(powers):
        whole = algebra.look(term)
        if not isinstance(whole, Add) or powers[term] < 1 or len(whole.parts) != 2:
            continue
        minus = [algebra.split(part) for part in whole.parts]
        if not any(is_ones(part) or part is algebra.number(1) for part in whole.parts):
            continue
        for number, scalars, body in minus:
            other = body if body is not None else scalars[0][0] if len(scalars) == 1 and scalars[0][1] == 1 else None
            activation = None if other is None else algebra.look(other)
            if number != -1 or other is None or not isinstance(activation, Apply) or activation.function != "sigmoid":
                continue
            count = min(powers[term], powers.get(other, 0))
            if count > 0 and (body is None or not scalars):
                slope = algebra.apply("sigmoid'", activation.parts)
                powers[term] -= count
                powers[other] -= count
                powers[slope] = powers.get(slope, 0) + count


def _logistic(algebra: Algebra, powers: dict[Term, int]) -> None:
    """1 / (1 + exp(-A)) is s(A), and s(A)^2 exp(-A) is s'(A)."""
    for term in list(powers):
        whole = algebra.look(term)
        if not isinstance(whole, Add) or powers[term] > -1 or len(whole.parts) != 2:
            continue
        for one, other in (whole.parts, whole.parts[::-1]):
            inside = algebra.look(other)
            bare = is_ones(one) or one is algebra.number(1)
            if bare and isinstance(inside, Apply) and inside.function == "exp":
                made = algebra.name_of(algebra.apply("sigmoid", [algebra.negative(inside.parts[0])]))
                powers[made] = powers.get(made, 0) - powers.pop(term)
                break
    falling = {algebra.look(term).parts: term for term in powers if _function(algebra, term) == "exp"}
    for term in [term for term in powers if _function(algebra, term) == "sigmoid"]:
        (inside,) = _operands(algebra, term)
        other = falling.get((algebra.negative(inside),))
        count = 0 if other is None else min(powers[term] // 2, powers[other])
        if other is not None and count > 0:
            slope = algebra.apply("sigmoid'", [inside])
            powers[term] -= 2 * count
            powers[other] -= count
            powers[slope] = powers.get(slope, 0) + count
        count = 0 if other is None else min(powers[term], powers[other])
        if other is not None and count > 0:
            falls = algebra.apply("sigmoid", [algebra.negative(inside)])
            powers[term] -= count
            powers[other] -= count
            powers[falls] = powers.get(falls, 0) + count


def _operands(algebra: Algebra, term: Term) -> tuple[Term, ...]:
    """What the function is applied to."""
    whole = algebra.look(term)
    return whole.parts if isinstance(whole, Apply) else ()


def _function(algebra: Algebra, term: Term) -> str:
    """The function that a term, or the formula of a name, applies to each element."""
    whole = algebra.look(term)
    return whole.function if isinstance(whole, Apply) else ""


def tanh_slope(algebra: Algebra, terms: list[Term]) -> list[Term]:
    """1 - tanh(A)^2 is tanh'(A), in a sum."""
    for one in terms:
        number, scalars, body = algebra.split(one)
        if not (body is None and not scalars) and not (body is not None and not scalars and is_ones(body)):
            continue
        for other in terms:
            minus, inside, square = algebra.split(other)
            pairs = square.factors if isinstance(square, Hadamard) and not inside else inside if square is None else ()
            if minus != -number or len(pairs) != 1 or pairs[0][1] != 2:
                continue
            activation = algebra.look(pairs[0][0])
            if isinstance(activation, Apply) and activation.function == "tanh":
                slope = (
                    algebra.scaled(number, [(algebra.apply("tanh'", activation.parts), 1)])
                    if square is None
                    else (algebra.scaled(number, [], algebra.apply("tanh'", activation.parts)))
                )
                rest = [term for term in terms if term is not one and term is not other]
                return [*rest, slope]
    return terms


def halves(algebra: Algebra, terms: list[Term]) -> list[Term]:
    """[a > b] + [a >= b] is twice the step that is one half where both are equal."""
    for one in terms:
        number, scalars, body = algebra.split(one)
        strict = body if body is not None else scalars[0][0] if len(scalars) == 1 else None
        if not isinstance(strict, Indicator) or strict.relation != "greater":
            continue
        loose = algebra.indicator("greater_equal", *strict.parts)
        wanted = algebra.scaled(number, [] if body is not None else [(loose, 1)], loose if body is not None else None)
        if wanted in terms and (body is None or not scalars):
            step = algebra.indicator("step", *strict.parts)
            rest = [term for term in terms if term is not one and term is not wanted]
            return [*rest, algebra.times(algebra.number(2 * number), step)]
    return terms


def _shifted(algebra: Algebra, term: Term, axis: int) -> tuple[Term, Term | None]:
    """A matrix as one without what is the same along an axis, and that; as a column, or a row for axis 0."""
    whole = algebra.look(term)
    kind = "column" if axis == 1 else "row"
    if not isinstance(whole, Add):
        return term, None
    kept, shifts = [], []
    for part in whole.parts:
        number, scalars, body = algebra.split(part)
        if body is not None and is_ones(body):
            found, vector = kind, algebra.ones((body.shape[0], 1) if axis == 1 else (1, body.shape[1]))
        else:
            found, vector = ("", part) if body is None else broadcast_vector(algebra, body)
        if found == kind:
            shifts.append(algebra.scaled(number, scalars, vector))
        else:
            kept.append(part)
    if not kept or not shifts:
        return term, None
    return algebra.add(kept), algebra.add(shifts)


def _powers_summed(algebra: Algebra, term: Term) -> tuple[Term, Term, int] | None:
    """Of exp(Z) 1 or 1^T exp(Z): the name of exp(Z), Z, and the axis."""
    whole = algebra.look(term)
    if not isinstance(whole, Product) or len(whole.parts) != 2:
        return None
    first, last = whole.parts
    if isinstance(first, Transpose) and isinstance(first.body, Ones):
        powers, axis = last, 0
    elif isinstance(last, Ones):
        powers, axis = first, 1
        if isinstance(first, Transpose):
            powers, axis = first.body, 0
    else:
        return None
    inside = algebra.look(powers)
    if isinstance(inside, Apply) and inside.function == "exp":
        return powers, inside.parts[0], axis
    return None


def softmax(algebra: Algebra, plain: dict[Term, int], vectors: dict[Term, int], axis: int) -> None:
    """exp(Z) over its sums of rows is softmax(Z); a shift of whole rows changes nothing. Changed in place."""
    for total in list(vectors):
        found = _powers_summed(algebra, total)
        if found is None or found[2] != axis:
            continue
        powers, inside, _ = found
        count = min(-vectors[total], plain.get(powers, 0))
        if count > 0:
            weights = algebra.row_wise("softmax", _shifted(algebra, inside, axis)[0], axis)
            vectors[total] += count
            plain[powers] -= count
            plain[weights] = plain.get(weights, 0) + count
    for total in [term for term, power in vectors.items() if power == 0]:
        del vectors[total]


def vector_softmax(algebra: Algebra, scalars: dict[Term, int], body: Term | None) -> Term | None:
    """The same of a vector, whose sum is a number in front."""
    if body is None or len(body.shape) != 2 or 1 not in body.shape:
        return body
    axis = 0 if body.shape[1] == 1 else 1
    plain: dict[Term, int] = dict(body.factors) if isinstance(body, Hadamard) else {body: 1}
    for total in list(scalars):
        found = _powers_summed(algebra, total)
        if found is None or found[2] != axis:
            continue
        powers, inside, _ = found
        count = min(-scalars[total], plain.get(powers, 0))
        if count > 0:
            weights = algebra.row_wise("softmax", _shifted(algebra, inside, axis)[0], axis)
            scalars[total] += count
            plain[powers] -= count
            plain[weights] = plain.get(weights, 0) + count
            body = algebra.hadamard([(term, power) for term, power in plain.items() if power])
    return body


def logsumexp(algebra: Algebra, function: str, parts: Sequence[Term]) -> Term | None:
    """log(exp(Z - c 1^T) 1) is logsumexp(Z) - c."""
    found = _powers_summed(algebra, parts[0]) if function == "log" else None
    if found is None:
        return None
    _, inside, axis = found
    rest, shift = _shifted(algebra, inside, axis)
    result = algebra.row_wise("logsumexp", rest, axis)
    return result if shift is None else algebra.add([result, shift])


def row_sums(algebra: Algebra, term: Term) -> Term | None:
    """``term 1`` where that is something shorter."""
    whole = algebra.look(term)
    ones = algebra.ones((whole.shape[1], 1))
    if isinstance(whole, RowWise) and whole.function == "softmax" and whole.axis == 1 and whole.shape[1] > 1:
        return algebra.ones((whole.shape[0], 1))
    if isinstance(whole, Transpose):
        inside = algebra.look(whole.body)
        if isinstance(inside, Hadamard) and not isinstance(term, Name) and not isinstance(whole.body, Name):
            return _turned_sums(algebra, inside)
        if isinstance(inside, RowWise) and inside.function == "softmax" and inside.axis == 0:
            return algebra.ones((whole.shape[0], 1))
    if isinstance(whole, Hadamard):
        return _product_sums(algebra, whole, hidden=isinstance(term, Name))
    if isinstance(whole, Add):
        total = algebra.add([algebra.product(part, ones) for part in whole.parts])
        if isinstance(total, Zeros) or total is algebra.zeros(SCALAR):
            return total
        known = [algebra.look(algebra.split(part)[2] or part) for part in whole.parts]
        if not isinstance(term, Name) and any(isinstance(part, RowWise) for part in known):
            return total
    return None


def _product_sums(algebra: Algebra, whole: Hadamard, hidden: bool) -> Term | None:
    """(c 1^T * A) 1 is c * (A 1), and (A * 1 r) 1 is A r^T."""
    for place, (factor, power) in enumerate(whole.factors):
        kind, vector = broadcast_vector(algebra, factor)
        if not kind or power != 1:
            continue
        rest = algebra.hadamard([pair for at, pair in enumerate(whole.factors) if at != place])
        if kind == "row":
            return None if hidden else algebra.product(rest, algebra.transpose(vector))
        inside = algebra.split(rest)[2]
        known = None if inside is None else row_sums(algebra, inside)
        if hidden and known is None:
            return None
        sums = algebra.product(rest, algebra.ones((whole.shape[1], 1)))
        return algebra.hadamard([(vector, 1), (sums, 1)])
    return None


def _turned_sums(algebra: Algebra, whole: Hadamard) -> Term | None:
    """(c 1^T * A)^T 1 is A^T c, and (A * 1 r)^T 1 is r^T * (A^T 1)."""
    for place, (factor, power) in enumerate(whole.factors):
        kind, vector = broadcast_vector(algebra, factor)
        if not kind or power != 1:
            continue
        rest = algebra.transpose(algebra.hadamard([pair for at, pair in enumerate(whole.factors) if at != place]))
        if kind == "column":
            return algebra.product(rest, vector)
        sums = algebra.product(rest, algebra.ones((whole.shape[0], 1)))
        return algebra.hadamard([(algebra.transpose(vector), 1), (sums, 1)])
    return None
