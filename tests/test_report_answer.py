"""The answer is computed: it says the opposite when the data do, and never more than the data say."""

from __future__ import annotations

import math
from typing import Any

import made_up_runs as made
import pytest

from difflab.report import answer, cases, numbers
from difflab.report.axes import decimal_ticks


def said(*rows: dict[str, Any], **changed: Any) -> str:
    return answer(made.run(rows, **changed)).text


# ---------------------------------------------------------------------------- who wins


def test_the_opposite_data_give_the_opposite_answer() -> None:
    """The same two lines with the names exchanged: every name in the answer is exchanged, and nothing else."""

    def story(quick: str, slow: str) -> str:
        return said(made.timed(quick, 1e-4, 3e-16, work_ratio=2.5), made.timed(slow, 5e-2, 2e-10, work_ratio=1250))

    usual, opposite = story("reverse", "finite"), story("finite", "reverse")
    assert usual == (
        "At the largest size compared, reverse mode was the quickest: one gradient took 100 µs (95 % interval 98.0 to "
        "102 µs; 2.5 times the loss itself) on digits-mlp (330 parameters), and was right to 15.5 digits within "
        "1 MiB of memory. "
        "In comparison, finite differences took 500 times as long with 9.7 correct digits instead of 15.5."
    )
    exchanged = usual.replace("reverse mode was", "@").replace("finite differences", "reverse mode")
    assert opposite == exchanged.replace("@", "finite differences were")


def test_quick_and_inexact_is_said_to_be_both() -> None:
    text = said(made.timed("finite", 1e-4, 1e-4), made.timed("reverse", 2e-4, 3e-16))
    assert "finite differences were the quickest" in text
    assert "and was right to 4.0 digits" in text
    assert "reverse mode took 2.0 times as long with 15.5 correct digits instead of 4.0" in text


def test_level_cases_are_not_ranked() -> None:
    text = said(made.timed("reverse", 1.00e-4, 3e-16), made.timed("forward", 1.01e-4, 3e-16))
    assert "reverse mode and forward mode were equally quick, and nothing was quicker" in text
    apart = said(made.timed("reverse", 1.00e-4, 3e-16), made.timed("forward", 1.10e-4, 3e-16))
    assert "reverse mode was the quickest" in apart
    assert "forward mode took 1.10 times as long." in apart


def test_problems_that_disagree_have_no_common_winner() -> None:
    other = {"problem": "digits-cnn", "n_params": 500}
    text = said(
        made.timed("reverse", 1e-4, 3e-16), made.timed("forward", 5e-4, 3e-16),
        made.timed("reverse", 9e-4, 3e-16, **other), made.timed("forward", 3e-4, 3e-16, **other),
    )  # fmt: skip
    assert "no way was the quickest everywhere: it was reverse mode on digits-mlp (330 parameters) with 100 µs" in text
    assert "and forward mode on digits-cnn (500 parameters) with 300 µs" in text
    assert "reverse mode took 1.00 to 3.0 times as long" in text
    assert "forward mode took 1.00 to 5.0 times as long" in text


def test_three_problems_are_summed_up_in_ranges() -> None:
    rows = []
    for k, name in enumerate(("a", "b", "c"), start=1):
        rows += [made.timed("reverse", k * 1e-4, 3e-16, problem=name, work_ratio=k + 1.0)]
        rows += [made.timed("finite", k * k * 1e-2, 1e-9, problem=name)]
    text = said(*rows)
    assert "reverse mode was the quickest in all 3 problems: one gradient took 100 to 300 µs, 2.0 to 4.0 times" in text
    assert "finite differences took 100 to 300 times as long with 9.0 correct digits instead of 15.5" in text


def test_digits_are_told_apart_by_dtype() -> None:
    single = {"dtype": "float32"}
    text = said(
        made.timed("reverse", 1e-4, 3e-16), made.timed("finite", 1e-2, 1e-10),
        made.timed("reverse", 9e-5, 1e-7, **single), made.timed("finite", 1e-2, 1e-2, **single),
    )  # fmt: skip
    assert "reverse mode was the quickest in both comparisons" in text
    assert "on digits-mlp float32 (330 parameters), and was right to at least 15.5 digits in float64 and 7.0" in text
    assert "with 10.0 correct digits in float64 instead of 15.5 and 2.0 in float32 instead of 7.0." in text


def test_digits_are_the_range_of_all_that_is_compared() -> None:
    """The best of the quickest must not choose whose digits are told: 15.4 is no worse a yardstick than 15.6."""
    rows = []
    for problem, own, best in (("a", 1.6e-6, 3.8e-16), ("b", 8.2e-7, 2.5e-16)):
        rows += [made.timed("reverse", 1e-4, best, problem=problem), made.timed("finite", 1e-2, own, problem=problem)]
    assert "took 100 times as long with 5.8 to 6.1 correct digits instead of 15.4 to 15.6." in said(*rows)
    assert "took 100 times as long with 5.8 to 6.1 correct digits instead of 15.4 to 15.6." in said(*rows[::-1])


def test_memory_of_the_quickest_is_said_where_it_is_known_of_each() -> None:
    def text(first: float | None, second: float) -> str:
        rows = [made.timed("finite", 1, 1e-9, problem=name) for name in ("a", "b")]
        rows += [made.timed("reverse", 1e-4, 3e-16, problem="a", peak_bytes=first)]
        return said(*rows, made.timed("reverse", 1e-4, 3e-16, problem="b", peak_bytes=second))

    assert "and was right to at least 15.5 digits, all within 560 KiB of memory." in text(4096, 560 * 1024)
    assert "all within 256 KiB of memory" in text(4096, 8192), "what cannot be told apart is not told apart"
    assert "memory" not in text(None, 8192)


def test_the_largest_size_with_two_contestants_counts() -> None:
    small, middle, large = ({"size": f"s{n}", "n_params": n} for n in (10, 100, 999))
    text = said(
        made.timed("reverse", 1e-4, 3e-16, **small), made.timed("forward", 1e-3, 3e-16, **small),
        made.timed("reverse", 2e-4, 3e-16, **middle), made.timed("forward", 2e-2, 3e-16, **middle),
        made.timed("reverse", 9e-4, 3e-16, **large), made.failed("forward", "timeout", **large),
    )  # fmt: skip
    assert "(100 parameters)" in text
    assert "forward mode took 100 times as long; of the general ways, only reverse mode (900 µs at" in text


def test_yardsticks_are_compared_but_never_win() -> None:
    text = said(
        made.timed("analytic", 5e-5, 3e-16), made.timed("reverse", 1e-4, 3e-16), made.timed("forward", 1e-3, 3e-16),
        made.timed("null", 1e-7, 1.0),
    )  # fmt: skip
    assert "reverse mode was the quickest: one gradient took 100 µs" in text
    assert "the hand-derived gradient took 0.50 times as long" in text
    assert "null" not in text


def test_one_general_way_is_measured_against_the_hand_derived_gradient() -> None:
    def rows(small: float, large: float) -> list[dict[str, Any]]:
        big = {"size": "large", "n_params": 9000}
        return [
            made.timed("analytic", 1e-4, 3e-16), made.timed("reverse", small * 1e-4, 3e-16),
            made.timed("analytic", 1e-3, 3e-16, **big), made.timed("reverse", large * 1e-3, 4e-16, **big),
        ]  # fmt: skip

    assert said(*rows(1.2, 0.5)).startswith(
        "Reverse mode took 0.50 times (digits-mlp large, float64) to 1.2 times (digits-mlp small, float64) as long as "
        "the hand-derived gradient: of 2 rows, 1 quicker and 1 slower"
    )
    opposite = said(*rows(0.5, 1.2))
    assert "0.50 times (digits-mlp small, float64) to 1.2 times (digits-mlp large, float64)" in opposite
    assert (
        "One gradient took 1.20 ms (95 % interval 1.18 to 1.22 ms; 2.5 times the loss itself) on digits-mlp large"
        in (opposite)
    )
    paired = rows(1.2, 0.5)
    paired[1]["ratio"] = 1.5  # what the run stores of its blocks goes before a quotient of medians
    assert "to 1.5 times (digits-mlp small, float64)" in said(*paired)


# ---------------------------------------------------------------------------- what failed


def test_backends_that_stopped_are_named_with_how_far_they_came() -> None:
    text = said(
        made.timed("reverse", 1e-4, 3e-16), made.timed("forward", 1e-3, 3e-16), made.failed("finite", "crash"),
        made.timed("symbolic", 1e-4, 3e-16, size="tiny", n_params=31), made.failed("symbolic", "timeout"),
    )  # fmt: skip
    assert "symbolic differentiation gave no gradient beyond 31 parameters (timed out)" in text
    assert "finite differences gave no gradient at all (crashed)" in text


def test_wrong_gradients_do_not_compete_and_are_named() -> None:
    run = made.run([made.timed("reverse", 1e-4, 3e-16), made.timed("forward", 1e-6, 0.3, outcome="invalid")])
    found = answer(run)
    assert "reverse mode was the only way that gave a gradient" in found.text
    assert "forward mode gave no gradient at all (wrong gradient)" in found.text
    assert found.caveats == ("Wrong gradients, left out of the comparison: forward on digits-mlp small.",)


def test_what_limits_the_answer_is_said() -> None:
    nothing = {"call_s_low": None, "call_s_high": None, "rel_error": None, "processes": 1}
    rows = [made.row("reverse", **nothing), made.failed("torch", "unsupported", reason="torch is not installed.")]
    rows.append(made.failed("forward", "interrupted"))
    found = answer(made.run(rows, quick=True))
    assert "95 % interval" not in found.text
    assert "digits" not in found.text.replace("digits-mlp", "")
    assert found.caveats == (
        "This was a quick run: there are no intervals, so differences of some ten per cent mean nothing.",
        "No gradient could be checked against a certified one, so nothing is said about accuracy.",
        "torch did not run: torch is not installed.",
    )
    assert found.text.startswith("Unfinished: 2 of 3 cases measured so far; at the largest size compared, reverse mode")


def test_what_is_still_open_has_not_failed() -> None:
    rows = [made.timed("reverse", 1e-4, 3e-16), made.timed("finite", 1e-2, 1e-9)]
    rows += [made.timed("reverse", 1e-3, 3e-16, size="large", n_params=9000)]
    rows += [made.failed("finite", "interrupted", size="large", n_params=9000), made.failed("forward", "interrupted")]
    text = said(*rows)
    assert text.startswith("Unfinished: 3 of 5 cases measured so far; at the largest size compared, reverse mode was")
    assert "gave no gradient" not in text
    assert "beyond these sizes" not in text
    assert text.endswith("finite differences took 100 times as long with 9.0 correct digits instead of 15.5.")


def test_unfinished_run_says_how_far_it_came_and_not_that_nothing_worked() -> None:
    rows = [made.failed("reverse", "interrupted", rel_error=1e-16), made.failed("symbolic", "timeout")]
    rows += [made.failed("forward", "interrupted", size="large", n_params=None) for _ in range(2)]
    found = answer(made.run(rows))
    assert found.sentences == ("Unfinished: 1 of 4 cases measured so far; nothing can be compared yet.",)


def test_quick_runs_call_level_what_full_runs_tell_apart() -> None:
    bare = {"call_s_low": None, "call_s_high": None}
    rows = [made.row("reverse", call_s=1.0e-4, **bare), made.row("forward", call_s=1.08e-4, **bare)]
    assert "equally quick" in said(*rows, quick=True)


def test_many_backends_stay_two_sentences() -> None:
    rows = [made.timed(f"backend {k}", 1e-4 * (k + 1), 3e-16) for k in range(20)]
    rows += [made.failed(f"other {k}", "timeout") for k in range(20)]
    found = answer(made.run(rows))
    assert len(found.sentences) == 2
    assert len(found.text) < 1200
    assert "backend 1 took 2.0 times as long" in found.text
    assert "backend 19 took 20 times as long" in found.text
    assert "15 other backends finished at none of these sizes" in found.text


# ---------------------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (4.12e-7, "412 ns"), (9.996e-4, "1.00 ms"), (4.123e-5, "41.2 µs"), (0.9994, "999 ms"), (0.9996, "1.00 s"),
        (1234.0, "1 230 s"), (7199.0, "7 200 s"), (7200.0, "2.00 hours"), (1.5e5, "41.7 hours"), (2.5e7, "289 days"),
        (1.2e12, "38 000 years"), (math.inf, "n/a"), (0.0, "0 ns"), (None, "n/a"), (math.nan, "n/a"),
    ],
)  # fmt: skip
def test_seconds(value: float | None, text: str) -> None:
    assert numbers.seconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536 * 1024, "1.50 MiB"), (2.0**38, "256 GiB"),
     (2**44, "16.0 TiB")],
)  # fmt: skip
def test_bytes(value: float, text: str) -> None:
    assert numbers.size_in_bytes(value) == text


def test_small_things_about_numbers() -> None:
    assert numbers.interval(9.8e-5, 1.02e-4) == "98.0 to 102 µs"
    assert numbers.interval(9.8e-4, 1.02e-3) == "980 µs to 1.02 ms"
    assert numbers.interval(None, 1.0) == ""
    assert [numbers.factor(value) for value in (0.89, 0.93, 1.0, 1.049, 1.12, 2.94, 41.2, 99.6, 1234.5)] == [
        "0.89",
        "0.930",
        "1.00",
        "1.05",
        "1.1",
        "2.9",
        "41",
        "100",
        "1 230",
    ]
    assert [numbers.peak(value) for value in (0, 2**18 - 1, 2**18, None)] == ["< 256 KiB"] * 2 + ["256 KiB", "n/a"]
    assert [numbers.parameters(number) for number in (0, 1, 330)] == ["–", "1 parameter", "330 parameters"]  # noqa: RUF001
    assert numbers.digits(-0.3) == "0.0"
    assert numbers.scientific(0.0) == "0"
    assert numbers.power_of_ten(-12) == "10⁻¹²"
    assert numbers.listed(["a", "b", "c"]) == "a, b and c"
    assert numbers.trimmed("10.0 s") == "10 s"
    assert numbers.trimmed("100 s") == "100 s"


def test_digits_never_exceed_what_the_dtype_holds() -> None:
    exact, single = cases.read(
        [made.row("reverse", rel_error=0.0), made.row("reverse", rel_error=0.0, dtype="float32")]
    )
    assert exact.digits == pytest.approx(15.95, abs=0.01)
    assert single.digits == pytest.approx(7.22, abs=0.01)


@pytest.mark.parametrize("most", [3, 5, 7])
@pytest.mark.parametrize(("low", "high"), [(1.0, 1e12), (3e-7, 4e-6), (2.0, 9.0), (0.5, 2e3), (1e-17, 1e3), (5.0, 6.0)])
def test_ticks_are_round_few_and_inside(low: float, high: float, most: int) -> None:
    ticks = decimal_ticks(low, high, most)
    assert 1 <= len(ticks) <= most
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(ticks)
