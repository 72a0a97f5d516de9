"""Forecasts before running: seconds from tapes and a calibration, dry runs, and measured over forecast on the page."""

from __future__ import annotations

import contextlib
import doctest
import json
import math
import threading
import time
from pathlib import Path
from typing import Any

import forecast_doubles as doubles
import harness_runs as runs
import made_up_runs as made
import numpy as np
import pytest
from forecast_doubles import speeds

import difflab as dl
from difflab import lab
from difflab.backends import find
from difflab.backends.protocol import Scalars, Work
from difflab.cli import codes
from difflab.cli import forecast as cli_forecast
from difflab.cli.app import main
from difflab.harness import amounts, calibration, forecasts, foreseen, layouts, store
from difflab.harness.durations import Durations
from difflab.harness.foreseen import foresee, over_limit
from difflab.harness.host_lock import HostLock
from difflab.harness.ledger import Ledger
from difflab.harness.operation import Operation
from difflab.harness.study import Timing
from difflab.operators import source
from difflab.primitives.record import REGISTRY
from difflab.report import cases, numbers, render
from difflab.report import forecasts as page
from difflab.report.style import looks
from difflab.tracing import trace_leaves

FORESEER = '[[backend]]\nname = "forecast_doubles:Foreseer"\nlabel = "{0}"\nhow = "{0}"\n'
NETWORK = '[[problem]]\nname = "digits-mlp"\nsizes = ["tiny"]\n'


def tape_of(function: Any, *leaves: np.ndarray) -> Any:
    return trace_leaves(function, list(leaves))


def seconds(function: Any, *leaves: np.ndarray, **changed: Any) -> float:
    return Durations(speeds(**changed)).program(tape_of(function, *leaves))


def operation(n: int = 3, operator: str = "gradient") -> Operation:
    made_of = source(lambda x: np.sum(np.tanh(x) * x), (np.linspace(0.1, 1.0, n),))
    return Operation.drawn(operator, made_of, 0)


# ------------------------------------------------------------------------------------------------ calibration


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    return calibration.measure()


def figures(value: Any) -> list[float]:
    if isinstance(value, dict):
        value = list(value.values())
    return [number for one in value for number in figures(one)] if isinstance(value, list) else [value]


def test_a_calibration_is_a_json_value_without_gaps(found: dict[str, Any]) -> None:
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert all(math.isfinite(number) and number >= 0 for number in figures(found))
    for name in ("elementwise", "reduce", "dot", "product", "copy", "quiet", "python"):
        assert found["call"][name] > 0, name
    assert set(found) == set(speeds())
    assert set(found["call"]) == set(speeds()["call"])
    assert set(found["compile"]) == set(speeds()["compile"])
    assert set(found["moves"]) == set(speeds()["moves"])


def test_every_elementwise_primitive_of_real_numbers_is_calibrated(found: dict[str, Any]) -> None:
    """All but those that are for integers or bits alone have a price of their own."""
    there = {one.name for one in REGISTRY if one.kind == "elementwise"}
    assert there - set(found["element"]["float64"]) == set()


@pytest.mark.parametrize("backend", ["reverse", "forward", "finite", "complex-step", "symbolic", "null"])
def test_a_calibrated_machine_has_a_time_for_every_backend(found: dict[str, Any], backend: str) -> None:
    spent = foresee(operation(), find(backend), Durations(found))
    assert spent["predicted_call_s"] > 0
    assert spent["predicted_s"] >= spent["predicted_prepare_s"] + spent["predicted_call_s"] * (1 - 1e-12)


# ------------------------------------------------------------------------------------------------ prices


def test_every_equation_starts_a_call() -> None:
    x = np.ones(4)
    assert seconds(doubles.halves, x, call__elementwise=1.0) == 2.0
    assert seconds(doubles.halves, x, call__reduce=1.0) == 1.0
    assert seconds(doubles.halves, x, call__elementwise=1.0, crowd=1.5) == 3.0
    assert seconds(doubles.halves, x, compile__run=0.25) == 0.25


@pytest.mark.parametrize("n", [1, 7, 1000])
def test_elements_cost_what_their_function_costs_or_their_bytes(n: int) -> None:
    x = np.ones(n)
    assert seconds(doubles.halves, x, element__float64__tanh=2.0) == 2.0 * n
    assert seconds(doubles.halves, x.astype("f4"), element__float64__tanh=2.0, element__float32__tanh=0.5) == 0.5 * n
    moved = seconds(lambda leaves: [leaves[0] + leaves[1]], x, x, **{"pass": [[1, 1.0], [2**40, 1.0]]})
    assert moved == 24.0 * n


def test_a_product_costs_its_operations_and_its_elements() -> None:
    def product(leaves: list[Any]) -> list[Any]:
        return [leaves[0] @ leaves[1]]

    a, b = np.ones((3, 4)), np.ones((4, 5))
    assert seconds(product, a, b, product__float64=[1.0, 0.0]) == 2 * 3 * 4 * 5
    assert seconds(product, a, b, product__float64=[0.0, 1.0]) == 12 + 20 + 15
    assert seconds(product, np.ones((7, 3, 4)), np.ones((7, 4, 5)), call__stacked=1.0) == 6.0


def test_broadcast_and_strided_arrays_cost_inner_loops() -> None:
    plane, row = np.ones((6, 5)), np.ones(5)
    assert seconds(lambda leaves: [leaves[0] + leaves[1]], plane, row, loop__rows=1.0) == 6.0
    assert seconds(lambda leaves: [leaves[0] + leaves[1]], plane, plane, loop__rows=1.0) == 0.0
    assert seconds(lambda leaves: [leaves[0].T + 1.0], plane, loop__rows=1.0) > 0.0


@pytest.mark.parametrize(
    ("shape", "view"),
    [
        ((3, 4), lambda x: x.T),
        ((3, 4, 2), lambda x: x[1:, ::2]),
        ((4, 3), lambda x: np.broadcast_to(x, (5, 4, 3))),
        ((2, 3), lambda x: x.reshape(6)),
        ((4, 1, 3), lambda x: x.transpose((2, 0, 1))),
    ],
)
def test_strides_of_views_are_those_of_numpy(shape: tuple[int, ...], view: Any) -> None:
    array = np.ones(shape)
    tape = tape_of(lambda leaves: [view(leaves[0])], array)
    strides = {tape.inputs[0]: layouts.row_major(shape)}
    for equation in tape.equations:
        own, out = equation.inputs[0], tape.avals[equation.output]
        made_of = layouts.strides_of_view(equation.primitive.name, equation.params, tape.avals[own], strides[own], out)
        strides[equation.output] = made_of
    wanted = [step // 8 for step in view(array).strides]
    sizes = view(array).shape
    there = strides[tape.outputs[0]]
    assert [s for s, n in zip(there, sizes, strict=True) if n > 1] == [
        s for s, n in zip(wanted, sizes, strict=True) if n > 1
    ]


def test_a_case_is_prepared_first_called_and_called() -> None:
    tape = tape_of(doubles.halves, np.ones(4))
    prices = Durations(speeds(call__elementwise=1.0, compile__record=1.0, compile__derive=2.0, compile__set_up=0.5))
    cost = find("reverse").predict(tape, "gradient", (0,))
    (work,) = cost.works
    assert isinstance(work, Work)
    spent = prices.spent(cost, tape)
    assert spent is not None
    assert spent.call == prices.program(work.tape) > 2.0
    assert spent.prepare == len(tape) + 2.0 * len(work.tape)
    assert spent.first == spent.call + 0.5 * len(work.tape)


def test_runs_of_a_program_are_as_many_as_chunks() -> None:
    tape = tape_of(doubles.halves, np.ones(40))
    for chunk, runs_of in ((40, 1), (16, 3), (1, 40)):
        works = dl.Forward(chunk=chunk).predict(tape, "gradient", (0,)).works
        assert [work.runs for work in works] == [runs_of]
    value, sweep = dl.Finite(chunk=10).predict(tape, "gradient", (0,)).works
    assert (value.runs, sweep.runs) == (1.0, 4)


def test_what_is_deduced_runs_as_often_as_it_takes_passes() -> None:
    prices = Durations(speeds(python__operation=1.0))
    once = find("symbolic").predict(operation(3).source.tape, "hessian", (0,)).works[0]
    assert isinstance(once, Scalars)
    product = operation(3, "hvp").predict(find("symbolic")).works[0]
    assert product == once
    assert prices.spent(operation(3, "hvp").predict(find("symbolic")), operation(3).source.tape) is not None


# ------------------------------------------------------------------------------------------------ one case


def test_a_backend_that_does_not_say_what_it_runs_is_taken_to_run_the_loss() -> None:
    silent = doubles.Foreseer()
    assert foresee(operation(), silent, None, 2.0)["predicted_s"] == 6.0
    assert foresee(operation(), silent, None, 2.0)["predicted_call_s"] is None
    prices = Durations(speeds(compile__plain=1.0))
    equations = len(operation().source.tape)
    assert foresee(operation(), silent, prices)["predicted_s"] == 3.0 * equations
    assert foresee(operation(), silent, None)["predicted_s"] is None


def test_a_case_over_a_limit_is_refused_with_the_figure() -> None:
    found = foresee(operation(), doubles.Foreseer(), None, 2.0)
    assert over_limit(found, 6.0, 10) is None
    assert over_limit(found, 5.0, 10) == (
        "the forecast is 6 s to prepare and run once (3 evaluations of 2 s); the limit is 5 s"
    )
    assert over_limit(found, 6.0, 9) == "the forecast needs 10 B; the limit is 9 B"
    assert over_limit(found, 5.0, 9) is not None
    assert str(over_limit(found, 5.0, 9)).endswith("the limit is 5 s; it also needs 10 B, and may take 9 B")
    endless = foresee(operation(), doubles.Foreseer("endless"), None, 2.0)
    assert endless["predicted_s"] is None
    assert "the limit is 5 s" in str(over_limit(endless, 5.0, None))
    assert over_limit(endless, None, None) is None


def test_sampling_takes_longer_for_slower_calls_and_more_samples() -> None:
    few, many = Timing(samples=3), Timing(samples=30)
    calls = [1e-6, 1e-4, 1e-2, 0.2]
    assert sorted(times := [forecasts.sampling_s(few, call, 1e-6) for call in calls]) == times
    assert forecasts.sampling_s(many, 1e-5, 1e-6) > forecasts.sampling_s(few, 1e-5, 1e-6)
    assert forecasts.sampling_s(few, 2.0, 1e-6) < 2 * 2.0 + 0.1  # one sample after the first call


# ------------------------------------------------------------------------------------------------ runs


def test_a_run_is_calibrated_once_and_compares_with_what_it_forecast(tmp_path: Path) -> None:
    path = runs.write_study(tmp_path, '[[backend]]\nname = "reverse"\n[[backend]]\nname = "finite"\n')
    shown = runs.run(path, tmp_path / "out", quick=True)
    calibrated = [event for event in store.read(tmp_path / "out") if event["kind"] == "calibrated"]
    assert [event["data"] for event in calibrated] == [shown.ledger.speeds]
    for row in shown.rows:
        assert row["predicted_call_s"] > 0
        assert row["call_over_predicted"] == row["call_s"] / row["predicted_call_s"]
        assert row["prepare_over_predicted"] == row["prepare_s"] / row["predicted_prepare_s"]
        assert row["predicted_s"] >= row["predicted_prepare_s"]
    assert "Measured over forecast" in render(shown)


def test_another_machine_is_calibrated_anew() -> None:
    ledger = Ledger.of([{"kind": "calibrated", "data": {"version": 1}}])
    assert ledger.speeds == {"version": 1}
    ledger.apply({"kind": "environment_changed", "number": 1})
    assert ledger.speeds is None


# ------------------------------------------------------------------------------------------------ dry runs


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A study in which forecasting one backend kills the worker, and which refuses others."""
    folder = tmp_path_factory.mktemp("dry")
    hows = ["silent", "dies", "raises", "away", "endless"]
    backends = "".join(map(FORESEER.format, hows)) + '[[backend]]\nname = "reverse"\n[[backend]]\nname = "finite"\n'
    path = folder / "study.toml"
    path.write_text(runs.HEAD + runs.PROBLEM.format(sizes='["tiny", "small"]') + backends + NETWORK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(runs.HERE))
        patch.chdir(folder)
        before = sorted(folder.rglob("*"))
        found = lab.forecast_document(path)
        assert sorted(folder.rglob("*")) == before
    return found


def test_a_dry_run_tells_every_case_whatever_its_neighbours_do(document: dict[str, Any]) -> None:
    outcomes = {(case["problem"], case["size"], case["backend"]): case for case in document["cases"]}
    assert len(outcomes) == 3 * 7
    squares = "harness_doubles:SQUARES"
    for problem, size in ((squares, "tiny"), (squares, "small"), ("digits-mlp", "tiny")):
        told = {name: one for (where, at, name), one in outcomes.items() if (where, at) == (problem, size)}
        assert {name: one["outcome"] for name, one in told.items()} == {
            "silent": "runs", "dies": "crash", "raises": "crash", "away": "unsupported", "endless": "skipped_predicted",
            "reverse": "runs", "finite": "runs",
        }  # fmt: skip
        assert "SIGKILL" in told["dies"]["reason"]
        assert "no idea" in told["raises"]["reason"]
        assert told["away"]["reason"] == "it is away"
        assert "the limit is" in told["endless"]["reason"]
        n = told["reverse"]["n_params"]
        assert told["finite"]["predicted_calls"] == 2 * n + 1
        assert told["finite"]["predicted_flops"] > told["reverse"]["predicted_flops"]
        assert told["finite"]["predicted_call_s"] > told["reverse"]["predicted_call_s"] > 0
        assert told["reverse"]["run_s"] > told["endless"]["run_s"]
    assert document["run_s"] > 0
    assert document["references_s"] > 0


def test_a_dry_run_is_a_table_for_people(document: dict[str, Any]) -> None:
    shown = cli_forecast.as_text(document)
    lines = shown.splitlines()
    assert lines[0].split()[:2] == ["PROBLEM", "PARAMETERS"]
    assert sum(line.startswith(("squares", "digits-mlp")) for line in lines) == 21
    assert "21 cases: 9 would run, 3 would be refused by forecast, 9 cannot be done." in lines
    refused = "refused by forecast: the forecast is an endless time to prepare and run once"
    assert sum(refused in line for line in lines) == 3
    assert "nothing was run and nothing written" in lines[-1]


def exit_code(*arguments: str) -> int:
    with pytest.raises(SystemExit) as left:
        main(list(arguments))
    return int(left.value.code or 0)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(runs.HERE))
    monkeypatch.chdir(tmp_path)
    path = runs.write_study(tmp_path, runs.double("too big"))
    assert exit_code("run", str(path), "--dry-run") == codes.NOTHING
    assert "refused by forecast: the forecast needs 1 GiB; the limit is 300 MiB" in capsys.readouterr().out
    path.write_text(path.read_text().replace("forecast_bytes = 1073741824\n", "").replace("too big", "right"))
    assert exit_code("run", str(path), "--dry-run", "--json", "--quick") == codes.OK
    found = json.loads(capsys.readouterr().out)
    assert [case["outcome"] for case in found["cases"]] == ["runs"]
    assert found["quick"]
    assert sorted(tmp_path.iterdir()) == [path]
    assert exit_code("run", str(path), "--dry-run", "--out", "elsewhere") == codes.BAD_INPUT
    assert "--dry-run measures and writes nothing: leave out --out" in capsys.readouterr().err
    path.write_text("title = 3\n")
    assert exit_code("run", str(path), "--dry-run") == codes.BAD_INPUT


def test_a_dry_run_says_that_it_waits_for_another_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(runs.HERE))
    monkeypatch.setenv("DIFFLAB_LOCK_FOLDER", str(tmp_path))
    path, found, said = runs.write_study(tmp_path, runs.double("right")), [], ""

    asking = threading.Thread(
        target=lambda: found.append(cli_forecast.forecast_text(str(path), quick=True, seed=0, as_json=True))
    )
    with contextlib.closing(HostLock(print, tmp_path)) as lock, lock.exclusive():
        asking.start()
        end = time.monotonic() + 60
        while "waiting for another difflab run on this machine" not in said and time.monotonic() < end:
            time.sleep(0.05)
            said += capsys.readouterr().err
    asking.join()
    assert "waiting for another difflab run on this machine" in said
    ((text, any_runs),) = found
    assert any_runs
    assert [case["outcome"] for case in json.loads(text)["cases"]] == ["runs"]


def test_a_frame_of_the_forecast_says_what_an_examination_does_not_know() -> None:
    frame = dl.forecast("tensor-chain", quick=True)
    assert set(frame["outcome"]) == {"runs"}
    assert frame["run_s"].tolist() == [None] * len(frame)
    assert frame.attrs["run_s"] is None
    assert min(frame["predicted_call_s"].tolist()) > 0


# ------------------------------------------------------------------------------------------------ the page


def case(backend: str, measured: float, forecast: float | None, **known: Any) -> dict[str, Any]:
    return made.row(
        backend, call_s=measured, predicted_call_s=forecast, predicted_prepare_s=1e-3, prepare_s=2e-3,
        size=f"{backend}-{measured:g}", **known,
    )  # fmt: skip


def chart(rows: list[dict[str, Any]]) -> Any:
    read = cases.read(rows)
    return page.measured_over_forecast(cases.groups(read), looks(read))


def test_the_chart_shows_every_case_and_tells_the_worst() -> None:
    rows = [case("reverse", 1.0, 1.0), case("reverse", 3.0, 1.0), case("forward", 0.1, 1.0), case("null", 9.0, 1.0)]
    shown = chart(rows)
    assert [panel.title for panel in shown.panels] == ["seconds per call", "seconds to prepare", "bytes"]
    assert [panel.svg.count("<title>") for panel in shown.panels] == [3, 3, 3]
    assert len(shown.rows) == 3
    worst = shown.notes[0]
    assert worst.startswith("Seconds per call: 1 of 3 cases within a factor of 2, half of all below and half above 1")
    assert "the worst is forward on digits-mlp forward-0.1, which took 10 times less (100 ms over 1.00 s)" in worst
    assert shown.rows[1][3] == "3.0 (3.00 s over 1.00 s)"
    assert "reverse: 1.00 to 3.0, 2.0 in the middle." in shown.panels[0].svg
    assert [key["text"] for key in shown.keys] == ["reverse", "forward", "as forecast"]
    for key in shown.keys[:-1]:  # the marks of the legend are those that are drawn
        assert f"f-{key['fill']}" in shown.panels[0].svg


def test_peaks_too_small_to_be_seen_and_runs_without_forecasts_are_not_compared() -> None:
    small = case("reverse", 1.0, 1.0, peak_bytes=numbers.RESOLUTION, predicted_bytes=1)
    assert [panel.title for panel in chart([small]).panels] == ["seconds per call", "seconds to prepare"]
    assert chart([case("reverse", 1.0, None)]) is None
    assert chart([made.row("reverse")]) is None
    assert "Measured over forecast" not in render(made.full())


@pytest.mark.parametrize("module", [amounts, calibration, forecasts, foreseen, layouts])
def test_examples(module: Any) -> None:
    assert doctest.testmod(module).failed == 0
