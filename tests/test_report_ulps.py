"""The chart of the coordinates' errors, and the answer of a study that asks for digits."""

from __future__ import annotations

import re
from typing import Any

import made_up_runs as made

from difflab.harness import grades
from difflab.report import answer, numbers, render, ulps
from difflab.report.cases import groups, read


def histogram(**bins: int) -> list[int]:
    """A histogram with the given counts: ``b3=5`` puts five coordinates into bin 3."""
    counts = [0] * grades.BINS
    for name, count in bins.items():
        counts[int(name[1:])] = count
    return counts


def graded(backend: str, worst: float | None = 3.0, **known: Any) -> dict[str, Any]:
    counts = known.pop("counts", histogram(b0=10, b1=60, b3=30))
    return made.row(backend, ulp_histogram=counts, ulps=worst, **known)


def strips(*rows: dict[str, Any]) -> list[ulps.Strip]:
    return ulps.strips(groups(read(rows)))


def test_the_report_and_the_harness_mean_the_same_bins() -> None:
    assert (ulps.EDGES, ulps.BINS) == (grades.EDGES, grades.BINS)


def test_a_panel_is_drawn_at_the_largest_size_that_is_graded() -> None:
    rows = [
        graded("reverse"), made.row("reverse", size="large", n_params=9000),
        graded("forward"), made.failed("symbolic", "timeout"), made.row("null", ulp_histogram=None),
    ]  # fmt: skip
    (found,) = strips(*rows)
    assert found.size == "small"
    assert [case.backend for case in found.cases] == ["reverse", "forward"]
    assert [case.backend for case in found.absent] == ["symbolic"]
    assert ulps.notes([found]) == ("symbolic has no row in any panel: timed out.",)
    assert ulps.bins_of([found]) == ulps.LEAST_BINS
    assert strips(made.row("reverse")) == []


def test_the_chart_says_its_shares_to_everyone() -> None:
    page = render(made.run([graded("reverse"), graded("finite", 4e9, counts=histogram(b0=1, b22=9, b23=90))]))
    assert "<title>reverse: 60 % of 100 are at most ½ ULP off</title>" in page
    assert "<title>reverse: 30 % of 100 are 1 to 2 ULP off</title>" in page
    assert "<title>finite: 90 % of 100 are more than 1 048 576 ULP off</title>" in page
    assert "reverse: 70 % rounded correctly, half within ½, the worst 3.0." in page
    assert f"finite: 1.0 % rounded correctly, half over 10⁶, the worst 4{numbers.TIMES}10⁹." in page
    assert re.search(r"<td>10 %</td>\s*<td>70 %</td>\s*<td>70 %</td>\s*<td>100 %</td>", page)


def test_the_exact_and_the_lost_have_words_of_their_own() -> None:
    rows = (graded("reverse", 0.0, counts=histogram(b0=5)), graded("forward", None, counts=histogram(b0=1, b24=4)))
    page = render(made.run(rows))
    assert "reverse: 100 % rounded correctly, half exact, the worst 0." in page
    assert "forward: 20 % rounded correctly, half not finite, the worst infinite." in page
    assert "<title>forward: 80 % of 5 are NaN or infinite</title>" in page


def test_wrong_results_are_hollow_and_rows_without_a_bin_are_whole() -> None:
    page = render(made.run([graded("reverse"), graded("finite", outcome="invalid", reason="far off")]))
    section = page[page.index('id="ulps"') : page.index('id="time"')]
    assert "hollow: wrong gradient" in section
    assert section.count('class="f-paper k-s1"') == 3
    alone = render(made.run([graded("reverse")]))
    assert "hollow: wrong" not in alone[alone.index('id="ulps"') : alone.index('id="time"')]


def test_without_histograms_the_chart_is_left_out_with_the_reason() -> None:
    page = render(made.run([made.row("reverse")]))
    assert "This chart is left out: no case was graded coordinate by coordinate." in page


def test_who_computes_in_float64_is_named_in_smaller_dtypes_only() -> None:
    wide: dict[str, Any] = {"computed_in": "float64, results cast to the dtype of their leaf"}
    narrow = strips(graded("symbolic", dtype="float32", **wide), graded("reverse", dtype="float32"))
    assert "symbolic computes in float64 and rounds the result." in ulps.caption(narrow)
    assert len(ulps.caption(strips(graded("symbolic", **wide)))) == 2


def test_shares_are_never_all_or_nothing_unless_they_are() -> None:
    counts = histogram(b0=9999, b3=1)
    page = render(made.run([graded("reverse", counts=counts)]))
    assert "over 99.9 % of 10 000 are exact" in page
    assert "under 0.1 % of 10 000 are 1 to 2 ULP off" in page


# ---------------------------------------------------------------------------- the answer


def in_dtypes(backend: str, call_s: float, errors: tuple[float, float, float]) -> list[dict[str, Any]]:
    worst = dict(zip(("float64", "float32", "float16"), (13.5, 5.0, 1.0), strict=True))
    pairs = zip(worst, errors, strict=True)
    return [made.timed(backend, call_s, e, dtype=d, worst_digits=worst[d]) for d, e in pairs]


def test_a_study_of_many_dtypes_is_answered_in_digits() -> None:
    rows = [
        *in_dtypes("reverse", 1e-4, (2e-16, 1e-7, 1e-3)), *in_dtypes("forward", 3e-4, (3e-16, 1e-7, 1e-3)),
        *in_dtypes("finite (central)", 9e-3, (1e-9, 1e-3, 0.2)),
    ]  # fmt: skip
    digits, speed = answer(made.run(rows)).sentences
    assert digits == (
        "Reverse mode and forward mode kept the most digits at the largest sizes graded, at least 15.5 in float64, 7.0 "
        "in float32 and 3.0 in float16; finite differences (central) the fewest, 9.0, 3.0 and 0.7."
    )
    assert (
        "Reverse mode was the quickest way with a right gradient at the largest sizes of all 3 comparisons: 100.0"
        in speed
    )
    assert "right to" not in speed
    opposite = [{**row, "rel_error": 0.3} if row["backend"] == "reverse" else row for row in rows]
    assert (
        answer(made.run(opposite))
        .sentences[0]
        .startswith("Forward mode kept the most digits at the largest sizes graded")
    )
    assert "reverse mode the fewest, 0.5, 0.5 and 0.5" in answer(made.run(opposite)).sentences[0]


def test_other_operators_get_their_own_words() -> None:
    rows = [
        made.timed("reverse", 1e-4, 3e-16, operator="hvp"), made.timed("finite", 1e-2, 3e-7, operator="hvp"),
        made.failed("analytic", "unsupported", operator="hvp"),
        made.failed("symbolic", "invalid", operator="hvp", rel_error=0.7),
    ]  # fmt: skip
    run = made.run(rows, operator="hvp")
    found = answer(run)
    assert found.text.startswith(
        "Reverse mode was the quickest way with a right Hessian-vector product: 100.0 ± 2.0 µs"
    )
    assert "symbolic differentiation gave no Hessian-vector product at all (wrong result)" in found.text
    assert "Wrong Hessian-vector products, left out of the comparison: symbolic on digits-mlp small." in found.caveats
    page = made.unexplained(render(run))
    assert "One Hessian-vector product" in page
    assert "time of one Hessian-vector product" in page
    assert "One gradient" not in page
    assert "the Hessian-vector product of the same recorded loss" in page
    assert "drawn in double precision with the seed of the run" in page.replace("\N{NO-BREAK SPACE}", " ")
    assert "<dt>Hessian-vector product</dt>" in page


def test_wrong_cases_are_told_with_their_dtype_where_there_are_several() -> None:
    rows = [
        made.timed("reverse", 1e-4, 3e-16), made.timed("reverse", 1e-4, 3e-7, dtype="float32"),
        made.row("finite", dtype="float32", outcome="invalid", rel_error=0.9),
    ]  # fmt: skip
    assert answer(made.run(rows)).caveats == (
        "Wrong gradients, left out of the comparison: finite on digits-mlp small in float32.",
    )
