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
        "Reverse mode was the quickest way with a right gradient: 100.0 ± 2.0 µs on "
        "digits-mlp (330 parameters), 2.5 times the loss itself, right to 15.5 digits. "
        "Finite differences took 500 times as long with 9.7 correct digits."
    )
    exchanged = usual.replace("Reverse mode was", "@").replace("Finite differences", "Reverse mode")
    assert opposite == exchanged.replace("@", "Finite differences were")


def test_quick_and_inexact_is_said_to_be_both() -> None:
    text = said(made.timed("finite", 1e-4, 1e-4), made.timed("reverse", 2e-4, 3e-16))
    assert "Finite differences were the quickest" in text
    assert "right to 4.0 digits" in text
    assert "Reverse mode took 2.0 times as long with 15.5 correct digits" in text


def test_level_cases_are_not_ranked() -> None:
    text = said(made.timed("reverse", 1.00e-4, 3e-16), made.timed("forward", 1.01e-4, 3e-16))
    assert "Reverse mode and forward mode were equally quick and the quickest ways" in text
    apart = said(made.timed("reverse", 1.00e-4, 3e-16), made.timed("forward", 1.10e-4, 3e-16))
    assert "Reverse mode was the quickest" in apart
    assert "Forward mode took 1.10 times as long." in apart


def test_problems_that_disagree_have_no_common_winner() -> None:
    other = {"problem": "digits-cnn", "n_params": 500}
    text = said(
        made.timed("reverse", 1e-4, 3e-16), made.timed("forward", 5e-4, 3e-16),
        made.timed("reverse", 9e-4, 3e-16, **other), made.timed("forward", 3e-4, 3e-16, **other),
    )  # fmt: skip
    assert "No way was the quickest at the largest sizes of both problems" in text
    assert "forward mode on digits-cnn (500 parameters) with 300.0 ± 6.0 µs and reverse mode on digits-mlp (330" in text
    assert "Compared with the quickest, reverse mode took 3.0 times as long and forward mode 5.0 times." in text


def test_three_problems_are_summed_up_in_ranges() -> None:
    rows = []
    for k, name in enumerate(("a", "b", "c"), start=1):
        rows += [made.timed("reverse", k * 1e-4, 3e-16, problem=name, work_ratio=k + 1.0, n_params=10 * k)]
        rows += [made.timed("finite", k * k * 1e-2, 1e-9, problem=name, n_params=10 * k)]
    text = said(*rows)
    assert (
        "at the largest sizes of all 3 problems: 100.0 ± 2.0 µs at 10 parameters to 300.0 ± 6.0 µs at 30, 2.0 to 4.0 "
        "times the loss itself"
    ) in text
    assert "Finite differences took 100 to 300 times as long with 9.0 correct digits." in text


def test_digits_are_told_apart_by_dtype() -> None:
    single = {"dtype": "float32"}
    text = said(
        made.timed("reverse", 1e-4, 3e-16), made.timed("finite", 1e-2, 1e-10),
        made.timed("reverse", 9e-5, 1e-7, **single), made.timed("finite", 1e-2, 1e-2, **single),
    )  # fmt: skip
    assert "at the largest sizes of both comparisons: 90.0 ± 1.8 µs on digits-mlp small in float32 to 100.0" in text
    assert "right to at least 15.5 digits in float64 and 7.0 in float32" in text
    assert "with 10.0 correct digits in float64 and 2.0 in float32." in text


def test_digits_are_the_range_of_all_that_is_compared() -> None:
    rows = []
    for problem, own, best in (("a", 1.6e-6, 3.8e-16), ("b", 8.2e-7, 2.5e-16)):
        rows += [made.timed("reverse", 1e-4, best, problem=problem), made.timed("finite", 1e-2, own, problem=problem)]
    for order in (rows, rows[::-1]):
        assert "100.0 ± 2.0 µs each, 2.5 times the loss itself, right to at least 15.4 digits." in said(*order)
        assert "took 100 times as long with 5.8 to 6.1 correct digits." in said(*order)


def test_memory_of_the_quickest_is_said_where_it_is_known_of_each() -> None:
    def details(first: float | None, second: float) -> tuple[str, ...]:
        rows = [made.timed("finite", 1, 1e-9, problem=name) for name in ("a", "b")]
        rows += [made.timed("reverse", 1e-4, 3e-16, problem="a", peak_bytes=first)]
        return answer(made.run([*rows, made.timed("reverse", 1e-4, 3e-16, problem="b", peak_bytes=second)])).details

    assert details(4096, 560 * 1024) == ("Reverse mode took at most 560 KiB of memory at these sizes.",)
    least = ("Reverse mode took at most 256 KiB of memory at these sizes.",)
    assert details(4096, 8192) == least, "which is not told apart"
    assert details(None, 8192) == ()


def test_the_largest_size_with_two_contestants_counts() -> None:
    small, middle, large = ({"size": f"s{n}", "n_params": n} for n in (10, 100, 999))
    text = said(
        made.timed("reverse", 1e-4, 3e-16, **small), made.timed("forward", 1e-3, 3e-16, **small),
        made.timed("reverse", 2e-4, 3e-16, **middle), made.timed("forward", 2e-2, 3e-16, **middle),
        made.timed("reverse", 9e-4, 3e-16, **large), made.failed("forward", "timeout", **large),
    )  # fmt: skip
    assert "(100 parameters)" in text
    assert "Forward mode took 100 times as long; only reverse mode went on to 999 parameters, in 900 ± 18 µs." in text


def test_yardsticks_are_compared_but_never_win() -> None:
    text = said(
        made.timed("analytic", 5e-5, 3e-16), made.timed("reverse", 1e-4, 3e-16), made.timed("forward", 1e-3, 3e-16),
        made.timed("null", 1e-7, 1.0),
    )  # fmt: skip
    assert "Reverse mode was the quickest way with a right gradient: 100.0" in text
    assert "The hand-derived gradient took 0.50 times as long and forward mode 10 times." in text
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
    assert "One gradient took 1.200 ± 0.024 ms, 2.5 times the loss itself on digits-mlp large" in opposite
    paired = rows(1.2, 0.5)
    paired[1] |= {"ratio": 1.5, "ratio_low": 1.4, "ratio_high": 1.6}  # what the run stores goes before a quotient
    assert "to 1.50 ± 0.10 times (digits-mlp small, float64)" in said(*paired)


# ---------------------------------------------------------------------------- with how much uncertainty


def turns(backend: str, factor: float, scatter: float, **known: Any) -> dict[str, Any]:
    """A timed row of six epochs, whose ratio to ``factor`` 1 scatters by so much to both sides."""
    signs = (-1.0, 1.0, -0.5, 0.5, -0.25, 0.25)
    seconds = [1e-4 * factor * (1 + scatter * sign) for sign in signs]
    epochs = {"medians": [[one, 4e-5] for one in seconds], "epochs": [str(k) for k in range(6)]}
    return made.timed(backend, 1e-4 * factor, 3e-16, **epochs, **known)


def test_ratios_carry_the_paired_interval_of_the_row_that_gives_the_extreme() -> None:
    rows = []
    for name, factor, scatter in (("a", 40.0, 0.05), ("b", 4000.0, 0.02)):
        rows += [turns("reverse", 1.0, 0.0, problem=name), turns("forward", factor, scatter, problem=name)]
    assert "Forward mode took 40.0 ± 2.0 to 4 000 ± 80 times as long." in said(*rows)
    exchanged = [row | {"problem": {"a": "b", "b": "a"}[row["problem"]]} for row in rows]
    assert "Forward mode took 40.0 ± 2.0 to 4 000 ± 80 times as long." in said(*exchanged)


def test_the_price_carries_its_interval_and_a_lopsided_one_stands_in_brackets() -> None:
    reverse = made.timed("reverse", 27.2e-6, 3e-16, work_ratio=2.5, work_ratio_low=2.4, work_ratio_high=2.6)
    reverse |= {"call_s_low": 25.7e-6, "call_s_high": 32.2e-6}
    text = said(reverse, made.timed("forward", 1e-3, 3e-16))
    assert ": 27.2 µs (+5.0 \N{MINUS SIGN}1.5) on digits-mlp (330 parameters), 2.50 ± 0.10 times the loss" in text


def test_sentences_stay_short_and_what_does_not_fit_is_told_below() -> None:
    """Many ways with long names: two sentences of some 45 words, and every way in the sentences or the details."""
    ways = ("symbolic", "forward", "complex-step", "finite (central)", "finite (one-sided)", "finite (order 4)")
    rows = []
    for name, n_params in (("a", 100), ("b", 5000)):
        at = {"problem": name, "n_params": n_params}
        rows.append(turns("reverse", 1.0, 0.01, **at))
        rows += [turns(way, (k + 2.0) * n_params, 0.03, **at) | {"rel_error": 1e-9} for k, way in enumerate(ways)]
    rows += [turns("reverse", 50.0, 0.01, problem="b", size="full", n_params=90_000)]
    found = answer(made.run(rows))
    assert len(found.sentences) == 2
    for sentence in found.sentences:
        assert len([word for word in sentence.split() if word[0] not in "(±+\N{MINUS SIGN}"]) <= 55, sentence
    assert "finite differences" in found.sentences[1]
    assert "fewer correct digits" in found.sentences[1]
    together = " ".join([*found.sentences, *found.details]).lower()
    for way in (
        "symbolic differentiation",
        "forward mode",
        "the complex step",
        "(central)",
        "(one-sided)",
        "(order 4)",
    ):
        assert way in together, way
    assert "9.0 correct digits" in together


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
    assert "Reverse mode was the only way with a right gradient" in found.text
    assert "Forward mode gave no gradient at all (wrong gradient)" in found.text
    assert found.caveats == ("Wrong gradients, left out of the comparison: forward on digits-mlp small.",)


def test_what_limits_the_answer_is_said() -> None:
    nothing = {"call_s_low": None, "call_s_high": None, "rel_error": None, "processes": 1}
    rows = [made.row("reverse", **nothing), made.failed("torch", "unsupported", reason="torch is not installed.")]
    rows.append(made.failed("forward", "interrupted"))
    found = answer(made.run(rows, quick=True))
    assert "±" not in found.text
    assert "right gradient" not in found.text, "nobody knows whether it is"
    assert "digits" not in found.text.replace("digits-mlp", "")
    assert found.caveats == (
        "Unfinished: 2 of 3 cases measured so far.",
        "This was a quick run: there are no intervals, so differences of some ten per cent mean nothing.",
        "No gradient could be checked against a certified one, so nothing is said about accuracy.",
        "torch did not run: torch is not installed.",
    )
    assert found.text.startswith("Reverse mode was the only way: 100 µs on digits-mlp")


def test_what_is_still_open_has_not_failed() -> None:
    rows = [made.timed("reverse", 1e-4, 3e-16), made.timed("finite", 1e-2, 1e-9)]
    rows += [made.timed("reverse", 1e-3, 3e-16, size="large", n_params=9000)]
    rows += [made.failed("finite", "interrupted", size="large", n_params=9000), made.failed("forward", "interrupted")]
    found = answer(made.run(rows))
    assert found.caveats == ("Unfinished: 3 of 5 cases measured so far.",)
    assert "gave no gradient" not in found.text
    assert "went on" not in found.text
    assert found.text.endswith("Finite differences took 100 times as long with 9.0 correct digits.")


def test_unfinished_run_says_how_far_it_came_and_not_that_nothing_worked() -> None:
    rows = [made.failed("reverse", "interrupted", rel_error=1e-16), made.failed("symbolic", "timeout")]
    rows += [made.failed("forward", "interrupted", size="large", n_params=None) for _ in range(2)]
    found = answer(made.run(rows))
    assert found.sentences == ("Nothing can be compared yet.",)
    assert found.caveats[0] == "Unfinished: 1 of 4 cases measured so far."


def test_quick_runs_call_level_what_full_runs_tell_apart() -> None:
    bare = {"call_s_low": None, "call_s_high": None}
    rows = [made.row("reverse", call_s=1.0e-4, **bare), made.row("forward", call_s=1.08e-4, **bare)]
    assert "equally quick" in said(*rows, quick=True)


def test_many_backends_stay_two_sentences() -> None:
    rows = [made.timed(f"backend {k}", 1e-4 * (k + 1), 3e-16) for k in range(20)]
    rows += [made.failed(f"other {k}", "timeout") for k in range(20)]
    found = answer(made.run(rows))
    assert len(found.sentences) == 2
    assert len(found.text) < 700
    assert "Backend 1 took 2.0 times as long" in found.text
    assert "backend 19 20 times" in found.text
    assert "13 other backends finished at none of these sizes" in " ".join(found.details)


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
