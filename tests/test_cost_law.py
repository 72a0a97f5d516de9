"""Cost laws: what theory counts for every backend beside what was counted and timed, in numbers and on the page."""

from __future__ import annotations

import doctest
import json
import math
import random
from typing import Any

import made_up_runs as made
import numpy as np
import pytest
from claims import cheap_gradient as claim

import difflab as dl
from difflab.backends import find
from difflab.operators import source
from difflab.report import answer, cases, render
from difflab.report.claims import cost_laws
from difflab.report.claims.cost_laws import evaluations, law_of, laws, listing, passes, sentence
from difflab.report.claims.exponents import Growth, growths

SIZES = (16, 100, 1024, 5000)
WAYS = {
    "reverse": ({}, lambda n: 1, 0.0),
    "analytic": ({}, lambda n: 1, 0.0),
    "forward": ({}, lambda n: n, 1.0),
    "forward (chunk of 16)": ({"chunk": 16}, lambda n: n, 1.0),
    "finite (central)": ({}, lambda n: 2 * n + 1, 1.0),
    "finite (one-sided)": ({"scheme": "forward"}, lambda n: n + 1, 1.0),
    "finite (order 4)": ({"order": 4}, lambda n: 4 * n + 1, 1.0),
    "complex-step": ({}, lambda n: n + 1, 1.0),
}
FAMILIES = {"complex-step": "complex-step"}


def rows(processes: int = 6, **changed: Any) -> list[dict[str, Any]]:
    """Work ratios that follow theory but for one per cent between processes; ``changed`` replaces a backend's count."""
    draw, found = random.Random(1), []
    for name, (options, count, power) in WAYS.items():
        for n in SIZES:
            works = [3.0 * n**power * math.exp(0.01 * draw.gauss(0, 1)) for _ in range(processes)]
            chunks = math.ceil(n / 16) if "chunk" in options else None
            known = {"primal_calls": changed.get(name, count)(n), "chunks": chunks}
            found.append(
                made.row(
                    name, size=str(n), n_params=n, primal_s=1e-5 + 1e-6 * n, work_ratio=works[0],
                    options=json.dumps(options), medians=[[work * 1e-3, 1e-3] for work in works],
                    epochs=[str(number) for number in range(len(works))], **known,
                )
            )  # fmt: skip
    return found


def grown(found: list[dict[str, Any]]) -> list[Growth]:
    return [growth for group in cases.groups(cases.read(found)) for growth in growths(group)]


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("n", [1, 5, 16, 33])
def test_backends_count_what_theory_says(name: str, n: int) -> None:
    """The law is that of the backend itself: the forecast of a loss by n numbers, and what its preparing counts."""
    options, _, _ = WAYS[name]
    family = name.partition(" (")[0]
    law = law_of(family, json.dumps(options))
    assert law is not None
    slope, rest = law.evaluations
    made_of = source(lambda x: np.sum(np.tanh(x)), (np.linspace(0.1, 1.0, n),))
    if family == "analytic":
        backend: Any = dl.Analytic(lambda x: (np.sum(np.tanh(x)), 1 / np.cosh(x) ** 2))
        counted = backend.predict(made_of.tape, "gradient", (0,)).primal_calls
    else:
        backend = find(family) if not options else {"forward": dl.Forward, "finite": dl.Finite}[family](**options)
        prepared = backend.prepare(made_of, "value_and_gradient", made_of.example)
        counted = prepared.stats["primal_calls"]
        if law.chunk is not None:
            assert prepared.stats["chunks"] == law.passes_at(n) == math.ceil(n / 16)
        if family != "reverse":
            assert backend.predict(made_of.tape, "gradient", (0,)).primal_calls == counted
    assert counted == slope * n + rest


def test_noise_and_error_estimates_cost_what_they_cost() -> None:
    made_of = source(lambda x: np.sum(np.tanh(x)), (np.linspace(0.1, 1.0, 7),))
    every: list[dict[str, Any]] = [{"noise": "estimate"}, {"estimate": True}, {"scheme": "richardson"}]
    for options in (*every, {"scheme": "backward", "order": 3}):
        law = law_of("finite", json.dumps(options))
        assert law is not None
        counted = dl.Finite(**options).predict(made_of.tape, "gradient", (0,)).primal_calls
        assert counted == law.evaluations[0] * 7 + law.evaluations[1], options


def test_symbolic_differentiation_has_no_law() -> None:
    assert law_of("symbolic", "{}") is None
    assert law_of("forward", '{"chunk": "auto"}') == law_of("forward", "")


def test_what_was_counted_is_held_against_the_law() -> None:
    found = {growth.backend: (growth, law) for growth, law in laws(grown(rows()))}
    assert set(found) == set(WAYS)
    for growth, law in found.values():
        assert evaluations(growth, law).agrees
    chunked = passes(*found["forward (chunk of 16)"])
    assert chunked.agrees
    assert chunked.range == "1 to 313"
    assert chunked.exponent == pytest.approx(1.0, abs=0.02)
    assert evaluations(*found["reverse"]).exponent == 0.0
    assert not passes(*found["reverse"]).agrees
    wrong = {g.backend: evaluations(g, law).agrees for g, law in laws(grown(rows(forward=lambda n: n + 1)))}
    assert [name for name, agrees in wrong.items() if not agrees] == ["forward"]


def test_the_table_has_every_backend_beside_theory() -> None:
    table = listing(grown(rows())).table
    shown = {row[0].text: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    assert {name: (row["By theory"].text, row["Counted"].text) for name, row in shown.items()} == {
        "reverse": ("1", "1"), "analytic": ("1", "1"), "forward": ("n", "n"), "forward (chunk of 16)": ("n", "n"),
        "finite (central)": ("2n + 1", "2n + 1"), "finite (one-sided)": ("n + 1", "n + 1"),
        "finite (order 4)": ("4n + 1", "4n + 1"), "complex-step": ("n + 1", "n + 1"),
    }  # fmt: skip
    assert shown["forward (chunk of 16)"]["Passes"].text == "n / 16"
    for name, (_, _, power) in WAYS.items():
        assert shown[name]["Of the time"].value == pytest.approx(power, abs=0.02)
        assert shown[name]["Theory"].value == power
        low, high = map(float, shown[name]["95 % interval"].text.replace("\N{MINUS SIGN}", "-").split(" to "))
        assert low <= float(shown[name]["Of the time"].text) <= high
        assert shown[name]["Inside"].text.startswith("yes" if low < power < high else ("yes", "off by"))


def test_an_exponent_far_from_theory_is_said_to_be_off() -> None:
    steep = [dict(row, medians=[[a * row["n_params"] ** 0.5, b] for a, b in row["medians"]]) for row in rows()]
    table = listing(grown(steep)).table
    inside = table.columns.index("Inside")
    assert all(0.4 < float(row[inside].text.removeprefix("off by ")) < 0.55 for row in table.rows)
    assert "Inside" not in listing(grown(rows(processes=3))).table.columns


def test_passes_that_are_not_those_of_the_law_are_said_not_to_be() -> None:
    more = [dict(row, chunks=row["n_params"]) if row["chunks"] else row for row in rows()]
    table = listing(grown(more)).table
    (cell,) = [row[table.columns.index("Passes")] for row in table.rows if row[0].text == "forward (chunk of 16)"]
    assert cell.text == "not n / 16"


def test_the_answer_tells_whether_the_counts_are_those_of_theory() -> None:
    assert sentence(grown(rows())) == "all as in theory; forward (chunk of 16) takes n / 16 passes, rounded up"
    assert sentence(grown(rows(forward=lambda n: n + 1))).startswith("theory has other counts for forward")
    assert sentence([]) == ""
    run = made.run(rows(), answer="ratio")
    assert "all as in theory; forward (chunk of 16) takes n / 16 passes, rounded up" in answer(run).text
    assert "Cost laws" in render(run)
    assert "all as in theory" in answer(claim.AGREES).text


def test_examples() -> None:
    assert doctest.testmod(cost_laws).failed == 0
