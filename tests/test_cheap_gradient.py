"""Exponents of work ratios with their intervals, evaluations counted, and the answer and page of the cheap gradient."""

from __future__ import annotations

import doctest
import math
import random
import re
from types import SimpleNamespace

import made_up_runs as made
import pytest
from claims import cheap_gradient as claim

from difflab.cli import tables as cli_tables
from difflab.report import answer, cases, kinds, power_laws, render
from difflab.report.claims import exponents, ratio, timed
from difflab.report.claims.exponents import Fit, Point, fit, formula, growths, line, local, threshold

SIZES = (10, 100, 1000, 10_000)


def case(**known) -> cases.Case:
    return cases.read([made.row("reverse", **known)])[0]


def points(price, processes: int = 6, noise: float = 0.0, seed: int = 0, sizes=SIZES) -> list[Point]:
    draw = random.Random(seed)
    works = [tuple(price(n) * math.exp(noise * draw.gauss(0, 1)) for _ in range(processes)) for n in sizes]
    return [Point(n, own, 1e-5, case(n_params=n)) for n, own in zip(sizes, works, strict=True)]


def there(found: Fit | None) -> Fit:
    assert found is not None
    return found


def fitted(found: list[Point]) -> Fit:
    return there(fit(found))


def ends(found: Fit) -> tuple[float, float]:
    assert found.low is not None
    assert found.high is not None
    return found.low, found.high


def group(rows: list[dict]) -> cases.Group:
    (found,) = cases.groups(cases.read(rows))
    return found


def rows_of(loss, price, sizes=SIZES, backend: str = "reverse") -> list[dict]:
    return [
        made.row(backend, size=str(n), n_params=n, primal_s=loss(n), work_ratio=price(n), call_s=price(n) * loss(n))
        for n in sizes
    ]


# ------------------------------------------------------------------------------------------------ exponents


@pytest.mark.parametrize("power", [-0.3, 0.0, 0.5, 1.0, 2.0])
def test_a_power_law_gives_its_exponent_exactly(power: float) -> None:
    found = fit(points(lambda n: 3.0 * n**power))
    assert found is not None
    assert (found.exponent, found.low, found.high) == pytest.approx((power, power, power), abs=1e-12)
    assert found.factor == pytest.approx(3.0)
    assert found.sizes == SIZES


@pytest.mark.parametrize("seed", range(10))
def test_the_interval_is_that_of_independent_exponents_one_for_each_process(seed: int) -> None:
    found = points(lambda n: n**0.9, noise=0.1, seed=seed)
    every = sorted(
        power_laws.least_squares([math.log(one.n) for one in found], [math.log(one.works[k]) for one in found])[0]
        for k in range(6)
    )
    through = fitted(found)
    assert ends(through) == pytest.approx((every[0], every[-1]))
    assert through.exponent == pytest.approx((every[2] + every[3]) / 2)


def test_intervals_cover_the_exponent_as_often_as_they_say() -> None:
    """Six processes: the extremes of six exponents miss their median in 2 of 64 experiments."""
    every = [ends(fitted(points(lambda n: n**0.9, 6, 0.2, seed))) for seed in range(400)]
    hits = sum(low <= 0.9 <= high for low, high in every)
    assert 370 <= hits <= 400


def test_too_few_processes_leave_an_exponent_without_an_interval() -> None:
    five = fitted(points(lambda n: 2.0 * n, 5, 0.1))
    assert (five.low, five.high) == (None, None)
    medians = [math.log(one.ratio) for one in points(lambda n: 2.0 * n, 5, 0.1)]
    assert five.exponent == power_laws.least_squares([math.log(n) for n in SIZES], medians)[0]
    assert fit(points(lambda n: 2.0 * n, sizes=(10, 100))) is None
    assert fit(points(lambda n: 2.0 * n, sizes=(10, 10, 100))) is None
    uneven = [*points(lambda n: 2.0 * n)[:2], *points(lambda n: 2.0 * n, 1)[2:]]
    assert fitted(uneven).sizes == SIZES
    assert fitted(uneven).low is None


def test_a_size_of_too_few_processes_does_not_cost_the_others_their_interval() -> None:
    rare = [*points(lambda n: 2.0 * n, noise=0.1)[:3], *points(lambda n: 9.0 * n, 1)[3:]]
    found = fitted(rare)
    assert found.sizes == SIZES[:3]
    assert ends(found)[0] < found.exponent < ends(found)[1]
    assert found == fitted(rare[:3])


def test_sizes_where_the_loss_is_mostly_overhead_are_not_fitted() -> None:
    def loss(n: int) -> float:
        return 1e-5 + 1e-8 * n

    sizes = (10, 100, 1000, 10_000, 100_000, 1_000_000)
    found = group(rows_of(loss, lambda n: 3 * n * 1e-8 / loss(n) + 0.1, sizes))
    assert threshold(found) == 10_000
    (grown,) = growths(found)
    beyond, whole = there(grown.beyond), there(grown.whole)
    assert beyond.sizes == (10_000, 100_000, 1_000_000)
    assert whole.sizes == sizes
    assert beyond.exponent < whole.exponent
    assert threshold(group(rows_of(lambda n: 1e-5, lambda n: 3.0))) is None
    assert growths(group(rows_of(lambda n: 1e-5, lambda n: 3.0)))[0].beyond is None


def test_a_size_slower_by_chance_does_not_begin_what_is_fitted() -> None:
    times = {10: 1e-5, 100: 3e-5, 1000: 1.5e-5, 10_000: 9e-5}
    assert threshold(group(rows_of(times.__getitem__, lambda n: 3.0))) == 10_000


@pytest.mark.parametrize("seed", range(20))
def test_counts_are_a_formula_where_one_holds_at_every_size(seed: int) -> None:
    draw = random.Random(seed)
    slope, height = draw.randrange(0, 5), draw.randrange(-3, 4)
    sizes = draw.sample(range(5, 10**6), 5)
    found = [(n, slope * n + height) for n in sizes]
    assert line(found) == (slope, height)
    broken = [*found[:-1], (found[-1][0], found[-1][1] + 1)]
    assert line(broken) is None
    assert line(found[:1]) is None
    text = formula((slope, height)).replace(" ", "")
    assert eval(re.sub(r"(\d)n", r"\1*n", text), {"n": 17}) == slope * 17 + height


def test_local_exponents_show_where_a_line_does_not_fit() -> None:
    bent = points(lambda n: max(1.0, n / 100), 1)
    assert local(bent) == pytest.approx([None, 0.0, 1.0, 1.0])
    assert local([]) == []


def test_work_ratios_are_those_of_the_processes() -> None:
    found = case(work_ratio=9.0, medians=[[2e-5, 1e-5], [4e-5, 1e-5]])
    assert timed.works(found) == pytest.approx([2.0, 4.0])
    assert timed.works(case(work_ratio=9.0)) == [9.0]
    assert timed.works(case(work_ratio=None)) == []
    assert timed.bounds(found) == (None, None)
    six = case(medians=[[k * 1e-5, 1e-5] for k in (3, 1, 2, 6, 5, 4)])
    assert timed.bounds(six) == pytest.approx((1.0, 6.0))


# ------------------------------------------------------------------------------------------------ the answer


def said_of(**changed) -> str:
    return answer(claim.run(claim.rows({**claim.USUAL, **changed}))).text


def test_the_cheap_gradient_holds_with_the_numbers_that_were_measured() -> None:
    text = said_of(reverse=lambda n: 2.0 + 0.25 * math.log10(n))
    assert text.startswith(
        "The cheap gradient holds: a gradient by reverse mode costs 2.321 (+0.032 \N{MINUS SIGN}0.078) to 3.23 "
        "(+0.04 \N{MINUS SIGN}0.11) losses on square-layer"
    )
    assert "for 16 to 65 536 parameters" in text
    assert (
        "Derived by hand, it costs 2.211 (+0.055 \N{MINUS SIGN}0.094) to 2.219 (+0.030 \N{MINUS SIGN}0.074) losses on "
        "square-layer and 2.203 (+0.014 \N{MINUS SIGN}0.019) to 2.219 (+0.030 \N{MINUS SIGN}0.074) on digits-mlp."
    ) in text


def test_a_constant_price_above_the_bound_is_no_small_multiple() -> None:
    text = said_of(reverse=claim.constant(7.0))
    assert text.startswith("The gradient is no small multiple of the loss, but a constant one: ")
    assert re.search(r"; 7\.[01] losses at .* are more than 5\.", text)


def test_a_price_that_grows_is_not_cheap() -> None:
    text = said_of(reverse=lambda n: 0.1 * n**0.5)
    assert text.startswith("The cheap gradient does not hold: ")
    assert "Its exponent is 0.50" in text
    small = said_of(reverse=lambda n: 0.5 * n**0.15)
    assert small.startswith("The cheap gradient holds: ")


def test_a_price_below_the_bound_that_grows_is_said_to_grow() -> None:
    text = said_of(reverse=lambda n: 0.02 * n**0.4)
    assert text.startswith("A gradient costs at most 5 losses here, but its price grows with n on square-layer and ")
    assert "holds" not in text


def test_exponents_elsewhere_are_told_beside_those_of_the_problem_that_tells_most() -> None:
    text = said_of(forward=lambda n: 0.001 * n**1.5)
    assert re.search(r"there; elsewhere the work ratios of such ways grow as n\^\S+ to n\^1\.50 on digits-mlp", text)


def test_exponents_of_the_others_are_told_with_intervals_and_theory() -> None:
    text = said_of(forward=lambda n: 0.5 * n**0.8)
    assert "On square-layer from 1 024 parameters on, where more than half of the loss is arithmetic" in text
    powers = next(
        part for part in re.split(r"(?<=[a-z\d])\. (?=[A-Z])", text) if part.startswith("On square-layer from")
    )
    assert re.search(r"n\^0\.80 \(95 % interval 0\.\d\d to 0\.\d\d\) for forward mode", powers)
    assert re.search(r"n\^1\.00 \(95 % interval .*?\) for finite differences \(central\)", powers)
    assert "over all sizes of square-layer, the overhead of small ones included" in powers  # the complex step
    assert "theory has n^1 for all, and is off by 0.20 at most" in powers


def test_evaluations_are_counted_and_timed_against_each_other() -> None:
    text = said_of()
    assert "forward n, finite (central) 2n + 1, finite (one-sided) n + 1 and complex-step n + 1" in text
    assert "The 2n evaluations of finite (central) take 2.0 times as long as the n of finite (one-sided)." in text
    rows = claim.rows({**claim.USUAL, "finite (central)": lambda n: 2.0 * n * (1.5 if n == 16 else 1.0)})
    spread = "take 2.0 to 3.0 times, 2.0 in the middle of the sizes, as long as the n of finite (one-sided)."
    assert spread in answer(claim.run(rows)).text
    rows = claim.rows(claim.USUAL)
    for row in rows:
        if row["backend"] == "finite (central)" and row["primal_calls"]:
            row["primal_calls"] += row["n_params"] % 3
    text = answer(claim.run(rows)).text
    assert re.search(r"complex-step n \+ 1; finite \(central\) 2\.\d+ to 2\.\d+ per parameter", text)
    assert "The 2n evaluations" not in text


def test_without_reverse_mode_without_cases_and_without_intervals() -> None:
    rows = claim.rows(claim.USUAL)
    without = answer(claim.run([row for row in rows if row["backend"] != "reverse"])).text
    assert without.startswith("Reverse mode gave no gradient, so nothing can be said about the cheap gradient.")
    assert answer(claim.run([])).text == "This run holds no case, so there is no answer."
    failed = answer(claim.run([row for row in rows if row["outcome"] != "ok"]))
    assert failed.text.startswith("No gradient was timed: of 21 cases, 21 refused by forecast.")
    quick = answer(claim.run(claim.rows(claim.USUAL, processes=1)))
    assert "interval" not in quick.text
    assert any("no intervals" in caveat for caveat in quick.caveats)
    assert "The cheap gradient holds" in quick.text
    single = answer(claim.run([row for row in rows if row["size"] == "tiny"]))
    assert single.text.startswith(
        "A gradient by reverse mode costs 2.503 (+0.016 \N{MINUS SIGN}0.022) losses on digits-mlp, for 63 parameters"
    )
    assert "too narrow a range of n to tell whether it is cheap whatever n" in single.text
    assert "holds" not in single.text
    assert "exponent" not in single.text


def test_cases_without_a_result_are_told() -> None:
    said = answer(claim.AGREES)
    assert said.caveats[0].startswith("symbolic: refused by forecast at 11 sizes, the first square-layer 16 (")
    assert said.caveats[-1] == "1 further case ended without a result."
    rows = claim.rows(claim.USUAL)
    rows[0] |= {"call_s_low": None, "call_s_high": None}
    assert (
        "Timed in fewer than six processes, so without an interval: 1 of 56 cases." in answer(claim.run(rows)).caveats
    )


# ------------------------------------------------------------------------------------------------ the page


@pytest.fixture(scope="module")
def sections() -> kinds.Sections:
    return ratio.sections(cases.read(claim.AGREES.rows))


def test_the_charts_show_every_case_and_every_exponent(sections: kinds.Sections) -> None:
    work, powers = sections.charts
    finished = [row for row in claim.AGREES.rows if row["outcome"] == "ok"]
    assert sum(panel.svg.count("<title>") for panel in work.panels) == len(finished) == len(work.rows)
    assert [panel.title for panel in work.panels] == ["square-layer", "digits-mlp"]
    marks = sum((growth.whole is not None) + (growth.beyond is not None) for growth in _growths())
    assert sum(panel.svg.count("<title>") for panel in powers.panels) == marks > len(powers.rows)


def _growths() -> list[exponents.Growth]:
    return [growth for one in cases.groups(cases.read(claim.AGREES.rows)) for growth in growths(one)]


def test_the_table_has_theory_beside_what_was_measured(sections: kinds.Sections) -> None:
    table = sections.tables[0].table
    theory, formulas = table.columns.index("Theory"), table.columns.index("Evaluations")
    rows = {row[0].text: row for row in table.rows if row[0].under == "square-layer"}
    assert {name: row[theory].text for name, row in rows.items()} == {
        "reverse": "0", "analytic": "0", "forward": "1", "finite (central)": "1", "finite (one-sided)": "1",
        "complex-step": "1",
    }  # fmt: skip
    assert rows["finite (central)"][formulas].text == "2n + 1"
    assert rows["reverse"][formulas].text == "1"


def test_no_line_is_put_through_two_sizes() -> None:
    rows = [row for row in claim.rows(claim.USUAL) if row["size"] in ("16", "256")]
    work, powers = ratio.sections(cases.read(rows)).charts
    assert work.panels
    assert powers.missing == (
        "This chart is left out: no backend finished at 3 sizes of a problem, which a line needs."
    )


def test_page_and_terminal_show_it() -> None:
    page = render(claim.AGREES)
    for text in ("Work ratio against the number of parameters", "Exponents", "What a gradient costs", "Baur"):
        assert text in page
    shown = cli_tables.results_text(SimpleNamespace(**vars(claim.AGREES)))
    assert shown.startswith("BACKEND")
    assert "finite (one-sided) digits-mlp" in shown


def test_examples() -> None:
    assert doctest.testmod(exponents).failed == doctest.testmod(timed).failed == 0
