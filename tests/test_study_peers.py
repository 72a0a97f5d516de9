"""Comparisons with bars: what a study file may ask, which bar judges which row, and the shipped study of peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from bad_study_texts import GOOD

from difflab.errors import StudyError
from difflab.harness import catalogue, engine, grid, study_file
from difflab.harness.bars import Bar, bar_of
from difflab.harness.catalogue import Catalogue
from difflab.harness.study import Study
from difflab.harness.study_bars import places
from difflab.harness.study_kinds import Wrapper
from difflab.problems import find

BARS = """
[[bar]]
ours = "reverse"
over = "differences"
below = 0.9
"""
PEERS = ("torch", "jax", "autograd", "scipy", "numdifftools", "symengine", "casadi", "lambdify")


def _describe(asked: Sequence[tuple[str, dict[str, Any]]], problems: Sequence[str]) -> Catalogue:
    known = {"digits-mlp": ["tiny", "small"], "digits-cnn": ["tiny"]}
    return Catalogue(known, {"reverse": "", "finite": ""}, {"reverse": [], "finite": ["scheme"]})


def _parse(text: str) -> Study:
    return study_file.parse(text, "s.toml", _describe)


def _faults(bars: str, text: str = GOOD) -> list[str]:
    """The faults of a study with these bars, without their places."""
    with pytest.raises(StudyError) as caught:
        _parse(text + bars)
    return [line.split(": ", 1)[1] for line in str(caught.value).splitlines()]


# ------------------------------------------------------------------------------------------------ the study file


def test_a_bar_is_read_in_full() -> None:
    more = 'sizes = ["tiny"]\ndtypes = ["float64"]\nfrom_us = 1\nuntil_us = 50\nerror_at_most = 3\nnote = "why"\n'
    (bar,) = _parse(GOOD + BARS + more).bars
    assert bar == Bar("reverse", "differences", "time", 0.9, True, (), ("tiny",), ("float64",), 1.0, 50.0, 3.0, "why")
    assert Bar.of_plain(bar.plain()) == bar
    assert _parse(GOOD).bars == ()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"reverse"', '"revers"', "bar[0].ours: 'revers' is none of the backends (did you mean 'reverse'?)"),
        (
            '"differences"',
            '"difference"',
            "bar[0].over: 'difference' is none of the backends nor 'loss' (did you mean 'differences'?)",
        ),
        ('over = "differences"\n', "", "bar[0].over: is missing"),
        ('"differences"', '"reverse"', "bar[0].over: 'reverse' cannot be compared with itself"),
        ("below = 0.9", "", "bar[0]: a bar has a number as below or as at_most; it has neither"),
        (
            "below = 0.9",
            "below = 1\nat_most = 1",
            "bar[0].at_most: a bar has a number as below or as at_most; not both",
        ),
        ("below = 0.9", "below = -1", "bar[0].below: must be a number from 0 to 1e+06, got -1"),
        ("below = 0.9", "belo = 0.9", "bar[0]: a bar has a number as below or as at_most; it has neither"),
        ("below", 'of = "tme"\nbelow', "bar[0].of: unknown of 'tme' (did you mean 'time'?)"),
        ("below", 'problems = ["digits"]\nbelow', "bar[0].problems[0]: unknown problem 'digits' (did you mean"),
        ("below", 'sizes = ["tin"]\nbelow', "bar[0].sizes[0]: unknown size 'tin' (did you mean 'tiny'?)"),
        ("below", 'dtypes = ["float32"]\nbelow', "bar[0].dtypes[0]: unknown dtype 'float32' (did you mean 'float64'?)"),
        ("below", "from_us = 5\nuntil_us = 5\nbelow", "bar[0].until_us: must be more than from_us, which is 5"),
        ("below", "note = 3\nbelow", "bar[0].note: must be a text, got 3"),
        (
            'over = "differences"',
            'over = "loss"\nof = "memory"',
            "bar[0].over: the loss alone has no peak of memory here; name a backend",
        ),
        ("below", 'of = "growth"\nbelow', "bar[0].over: growth is over \"loss\", got 'differences'"),
        (
            'over = "differences"',
            'over = "loss"\nof = "growth"\nsizes = ["tiny"]',
            "bar[0].sizes: growth is of all sizes together; leave sizes out",
        ),
        (
            'over = "differences"',
            'over = "loss"\nerror_at_most = 3',
            "bar[0].error_at_most: the loss alone has no error; name a backend as over",
        ),
    ],
)
def test_each_fault_of_a_bar_is_one_line(old: str, new: str, fault: str) -> None:
    assert BARS.count(old) == 1
    lines = _faults(BARS.replace(old, new))
    assert any(line.startswith(fault) for line in lines), lines


def test_two_bars_for_one_row_are_a_fault_and_one_with_sizes_goes_before_one_without() -> None:
    assert _faults(BARS + BARS) == [
        "bar[1]: bar[0] judges digits-mlp tiny float64 already; part them by problems, sizes, dtypes or times"
    ]
    small = BARS + 'sizes = ["tiny"]\n'
    assert len(_parse(GOOD + BARS + small).bars) == 2
    assert len(_parse(GOOD + BARS + "until_us = 50\n" + BARS + "from_us = 50\n").bars) == 2
    assert len(_faults(small + small)) == 1


def test_bars_belong_to_comparisons_of_what_a_row_has() -> None:
    other = GOOD.replace('"compare"', '"ratio"')
    assert _faults(BARS, other) == ['bar: only a study with answer = "compare" has bars; this one has "ratio"']
    apart = GOOD.replace('quick = ["tiny"]', 'quick = ["tiny"]\nbackends = ["reverse"]')
    assert _faults(BARS, apart) == [
        "bar[0]: no row of the study has 'reverse' and 'differences' in the problems, sizes and dtypes of this bar"
    ]
    assert "bar: must be written as [[bar]], once for each bar" in _faults("[bar]\n")


def test_a_problem_may_choose_its_backends() -> None:
    chosen = GOOD.replace('quick = ["tiny"]', 'quick = ["tiny"]\nbackends = ["differences"]')
    assert [[case.label for case in block.cases] for block in grid.blocks(_parse(chosen))] == [["differences"]] * 2
    assert [[case.label for case in block.cases] for block in grid.blocks(_parse(GOOD))] == [
        ["reverse", "differences"]
    ] * 2
    assert _faults("", chosen.replace('["differences"]', '["difference", "reverse"]')) == [
        "problem[0].backends[0]: 'difference' is none of the backends (did you mean 'differences'?)"
    ]


def test_the_manifest_holds_the_bars_and_only_where_there_are_any() -> None:
    with_bars, without = _parse(GOOD + BARS), _parse(GOOD)
    for study, expected in ((with_bars, [with_bars.bars[0].plain()] if with_bars.bars else None), (without, None)):
        told = engine.manifest(study, grid.blocks(study), "key", 0, False, {})["study"]
        assert told.get("bars") == expected


# ------------------------------------------------------------------------------------------------ which bar judges


def test_a_bar_judges_by_problem_size_dtype_and_time() -> None:
    usual = Bar("reverse", "analytic", bound=1.1, strict=False, until_us=50)
    slow = Bar("reverse", "analytic", bound=1.0, strict=False, from_us=50)
    small = Bar("reverse", "analytic", bound=2.0, sizes=("tiny",), dtypes=("float32",))
    bars = (usual, slow, small)
    assert bar_of(bars, ("mlp", "tiny", "float64"), 49e-6) is usual
    assert bar_of(bars, ("mlp", "tiny", "float64"), 50e-6) is slow
    assert bar_of(bars, ("mlp", "tiny", "float32"), 1.0) is small
    assert bar_of((Bar("reverse", "jax", problems=("cnn",)),), ("mlp", "tiny", "float64"), 1.0) is None


@pytest.mark.parametrize(("strict", "at_the_bound"), [(True, False), (False, True)])
def test_the_bound_itself_is_met_only_where_it_is_not_strict(strict: bool, at_the_bound: bool) -> None:
    bar = Bar("reverse", "jax", bound=1.0, strict=strict)
    assert bar.admits(1.0) is at_the_bound
    assert bar.admits(0.999)
    assert not bar.admits(1.001)


# ------------------------------------------------------------------------------------------------ the shipped studies


@pytest.fixture(scope="module")
def peers() -> Study:
    return study_file.read_study("peers", catalogue.collect)


def test_the_study_of_peers_has_every_row_of_the_table_and_builds_it(peers: Study) -> None:
    blocks = grid.blocks(peers)
    rows = {(block.problem, block.size, block.dtype): [case.label for case in block.cases] for block in blocks}
    for size in ("tiny", "8x2-4-2", "64x64-32-10", "64x64-100-10", "128x784-256-10", "256x784-1024-10"):
        for dtype in ("float32", "float64"):
            assert {"reverse", "analytic", "torch", "jax", "autograd"} <= set(rows["mlp", size, dtype])
    for size in ("8x8x1-8-16", "28x28x1-16-32", "32x32x3-32-64"):
        for dtype in ("float32", "float64"):
            assert {"reverse", "analytic", "torch", "jax", "autograd"} <= set(rows["cnn", size, dtype])
    sizes = list(find("sigmoid-net").sizes)[:3]  # the others are for GPUs
    assert [find("sigmoid-net").count(size) for size in sizes] == [31, 1057, 4225]
    for size in sizes:
        wanted = {"finite (central)", "scipy (3-point)", "forward", "jax (forward mode)"}
        assert wanted <= set(rows["sigmoid-net", size, "float64"])
    assert {"symbolic", "lambdify", "symengine", "casadi"} <= set(rows["xor", "tiny", "float64"])
    assert {one.name for one in peers.backends} >= set(PEERS)
    for problem, size, dtype in rows:
        assert find(problem).build(size, dtype, 0).n_params == find(problem).count(size)


def test_five_rows_lie_between_and_beyond_those_of_the_table(peers: Study) -> None:
    lenient = [bar for bar in peers.bars if bar.bound == 1.1 and bar.over in ("torch", "jax") and bar.sizes]
    judged = {place for bar in lenient if bar.over == "torch" for place in places(bar, peers.problems)}
    assert len(judged) == 5
    assert judged == {place for bar in lenient if bar.over == "jax" for place in places(bar, peers.problems)}


def test_every_row_of_the_networks_has_its_bars(peers: Study) -> None:
    for block in grid.blocks(peers):
        if block.problem in ("mlp", "cnn"):
            place = (block.problem, block.size, block.dtype)
            times = [(over, "time") for over in ("torch", "jax", "autograd", "analytic", "loss")]
            for key in (*times, ("analytic", "memory")):
                own = [bar for bar in peers.bars if bar.key == ("reverse", *key)]
                assert bar_of(own, place, 1e-3) is not None, (place, key)


def test_the_study_of_wrappers_asks_for_five_per_cent_from_two_hundred_microseconds_on() -> None:
    study = study_file.read_study("wrappers", catalogue.collect)
    assert study.settings == Wrapper(2.0, 0.05, 200.0)
    assert study.timing.threads == 2
    assert [one.name for one in study.backends] == ["torch", "jax", "autograd"]
