"""Compressed Jacobians in a study: what a worker finds of them, what it refuses, and what goes wrong all the same."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from claims.structure import AGREES as MAPS
from test_wall import SETTINGS, session

from difflab.backends.seeded import Seeded
from difflab.errors import ForecastError
from difflab.harness import catalogue
from difflab.harness.examinations import compressed, trying
from difflab.harness.examinations.wall import examine
from difflab.harness.session import Session
from difflab.harness.study import shipped
from difflab.harness.study_file import parse
from difflab.report import cases, kinds
from difflab.report.claims import wall_compressed, wall_plan
from difflab.report.claims.wall_parts import panels_of

GIB = 2**30


def opened(problem: str, size: str, backend: str, limit: int | None = 4 * GIB) -> Session:
    """A case of a sparse map in this process, where nothing limits memory but forecasts."""
    channel: Any = SimpleNamespace(say=lambda *_, **__: None, phase=lambda name: None)
    made = Session(channel)
    spec = {"problem": f"difflab.maps_sparse:{problem}", "size": size, "dtype": "float64", "backend": backend}
    made.open({"spec": {**spec, "options": {}, "operator": "jacobian", "seed": 0}, "memory": None})
    made.allowed_bytes = limit
    return made


def part(made: Session, place: int = 0, **more: Any) -> dict[str, Any]:
    """What is found of one Jacobian."""
    findings = examine(made, {"settings": SETTINGS | more, "quick": False})["findings"]
    assert json.loads(json.dumps(findings, allow_nan=False)) == findings
    return findings["parts"][place]


# ---------------------------------------------------------------------------- what is found


@pytest.mark.parametrize(
    ("problem", "entries", "rows", "columns"),
    [
        ("BURGERS", 36, 3, 3), ("BIDIAGONAL", 22, 2, 2), ("CONVOLUTION_1D", 40, 5, 5), ("BATCH", 160, 4, 8),
        ("BUNDLE", 174, 8, 14),
    ],
)  # fmt: skip
def test_a_sparse_map_takes_few_products(problem: str, entries: int, rows: int, columns: int) -> None:
    for backend, products in (("reverse", [0, rows]), ("forward", [columns, 0]), ("finite", [columns, 0])):
        found = part(opened(problem, "tiny", backend))
        own = found["compressed"]
        assert (own["outcome"], own["nonzeros"], own["products"]) == ("ok", entries, products)
        assert own["difference"] < (1e-7 if backend == "finite" else 1e-14)
        assert own["seconds"] > 0
        assert own["prepare_seconds"] >= own["pattern_seconds"] > 0
        colours = own["colours"]["rows" if backend == "reverse" else "columns"]
        assert max(colours) + 1 == sum(products)
        assert len(colours) == np.prod(found["out"] if backend == "reverse" else found["into"])


def test_products_of_a_picture_hold_every_entry_of_the_jacobian() -> None:
    found = part(opened("BURGERS", "tiny", "forward"))
    matrix = np.array(found["jacobian"]["matrix"])
    picture = np.array(wall_compressed.beside(matrix.tolist(), found["compressed"]["colours"]))
    assert np.array_equal(picture[:, :12], matrix)
    assert np.isnan(picture[:, 12]).all()
    for column, colour in enumerate(found["compressed"]["colours"]["columns"]):
        rows = np.flatnonzero(matrix[:, column])
        assert np.allclose(picture[rows, 13 + colour], matrix[rows, column])


def test_an_arrow_saves_nothing_in_one_direction_and_nearly_all_in_both() -> None:
    found = part(opened("ARROW", "small", "reverse"))["compressed"]
    assert (found["outcome"], found["products"], found["share"]) == ("ok", [0, 0], 1.0)
    assert (found["both"]["outcome"], found["both"]["products"]) == ("ok", [2, 1])
    assert found["both"]["difference"] < 1e-14
    assert "colours" not in found["both"]
    small = part(opened("ARROW", "tiny", "reverse"))["compressed"]
    assert {len(set(own) - {-1}) for own in small["both"]["colours"].values()} == {2, 1}
    assert "colours" not in small
    assert "both" not in part(opened("ARROW", "small", "forward"))["compressed"]


def test_what_the_library_refuses_to_form_has_the_plan_of_the_whole() -> None:
    found = part(opened("ARROW", "xlarge", "forward"), repeats=1, seconds=0.5)["compressed"]
    assert found["outcome"] == "skipped_predicted"
    assert found["plan_bytes"] > 8 * 10**10


def test_layers_are_compressed_by_each_variable() -> None:
    by_x, by_w = (part(session("DENSE", "small", "reverse"), place)["compressed"] for place in (0, 1))
    assert (by_x["products"], by_w["products"]) == ([0, 32], [0, 8])
    assert by_x["nonzeros"] == by_w["nonzeros"] == 8 * 32 * 32
    assert by_x["share"] == 32 / (8 * 32)


def test_a_map_of_a_million_numbers_is_compressed_and_not_formed() -> None:
    made = opened("BIDIAGONAL", "xlarge", "forward")
    found = part(made, repeats=1, seconds=0.5)
    assert found["jacobian"]["outcome"] == "skipped_predicted"
    own = found["compressed"]
    assert (own["outcome"], own["nonzeros"], own["products"]) == ("ok", 2 * 99_999, [2, 0])
    assert own["plan_bytes"] < GIB / 10


# ---------------------------------------------------------------------------- what is not done


def test_what_has_too_many_entries_is_refused_before_its_pattern_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows of a large layer tell how many entries are not zero."""
    from difflab.transforms import sparsity

    ordinary = sparsity.jacobian_pattern

    def looked_for(tape: Any, wrt: Any) -> Any:
        assert tape.avals[tape.inputs[wrt[0]]].size < 10_000, "the pattern of the large layer is not to be looked for"
        return ordinary(tape, wrt)

    monkeypatch.setattr(sparsity, "jacobian_pattern", looked_for)
    made = session("DENSE", "huge", "reverse")
    made.allowed_bytes = GIB // 4
    found = part(made, repeats=1, seconds=0.1)["compressed"]
    assert found["nonzeros"] == 64 * 1024 * 1024
    assert found["outcome"] == "skipped_predicted"
    assert found["reason"].endswith("the limit is 256 MiB")


def test_a_lower_limit_refuses_sooner() -> None:
    found = part(opened("BURGERS", "medium", "reverse", limit=50_000))["compressed"]
    assert (found["outcome"], found["nonzeros"]) == ("skipped_predicted", 3000)
    assert "the limit is 48.8 KiB" in found["reason"]
    assert "seconds" not in found


def test_what_would_take_too_long_is_not_begun() -> None:
    found = part(opened("BURGERS", "small", "finite"), seconds=1e-9)["compressed"]
    assert found["outcome"] == "skipped_predicted"
    assert "the limit is 1 ns" in found["reason"]


def test_memory_that_runs_out_and_rooms_that_are_refused_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = Seeded.entries

    def failing(fault: Exception) -> Any:
        def entries(self: Any, leaves: Any, push: Any, pull: Any) -> Any:
            if self.pattern.shape[0] > 50:
                raise fault
            return ordinary(self, leaves, push, pull)

        return entries

    monkeypatch.setattr(Seeded, "entries", failing(MemoryError("Unable to allocate 1.00 GiB")))
    found = part(opened("BURGERS", "small", "reverse"))
    assert (found["compressed"]["outcome"], found["compressed"]["reason"]) == (
        "memory_limit", "Unable to allocate 1.00 GiB",
    )  # fmt: skip
    assert found["jacobian"]["outcome"] == "ok"
    monkeypatch.setattr(Seeded, "entries", failing(ForecastError("it needs 75 GiB")))
    found = part(opened("BURGERS", "small", "reverse"))["compressed"]
    assert (found["outcome"], found["reason"]) == ("skipped_predicted", "it needs 75 GiB")


def test_what_is_read_wrongly_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = Seeded.entries
    monkeypatch.setattr(Seeded, "entries", lambda self, *given: np.roll(ordinary(self, *given), 1))
    assert part(opened("BURGERS", "small", "reverse"))["compressed"]["difference"] > 1e-2


def test_work_is_repeated_where_it_is_quick_and_not_where_it_is_slow() -> None:
    calls: list[int] = []
    assert trying.again(lambda: calls.append(1) or len(calls), 0.0, 4)[1] == 4
    assert trying.again(lambda: calls.append(1) or len(calls), 10.0, 4)[1] == 5
    assert trying.tried(lambda: {"x": 1}) == {"outcome": "ok", "reason": "", "x": 1}
    assert compressed.COUNTED % 2, "the middle of the rows that are counted is one of them"


# ---------------------------------------------------------------------------- the page and the study


def test_the_table_has_both_directions_and_the_chart_the_fourth_way() -> None:
    found = kinds.sections("wall", cases.read(MAPS.rows))
    table = next(one for one in found.tables if one.anchor == "compressed").table
    texts = [[cell.text for cell in row] for row in table.rows]
    assert [row[6] for row in texts] == ["", "", "", "2 + 1", "2 + 1", "2 + 1"]
    assert [row[5] for row in texts] == ["4", "4", "4", "0", "0", "0"]
    memory, time = found.charts[:2]
    assert "the Jacobian, compressed" in [key["text"] for key in memory.keys]
    assert memory.columns[-2:] == ("Compressed", "Without it")
    assert any("finding its pattern" in text for text in time.caption)


def test_plans_of_compressed_jacobians_are_told_beside_the_others() -> None:
    panels = panels_of(cases.read(MAPS.rows))
    assert wall_plan.sentence(panels) == (
        "Those of 3 compressed Jacobians are rougher, 2.0 to 2.0 times the measured: they count the seeds of all "
        "products, most of which are zeros that are never written."
    )


def test_the_shipped_study_goes_from_ten_numbers_to_a_million() -> None:
    path = shipped()["structure"]
    study = parse(path.read_text(), path.name, lambda asked, problems: catalogue.collect(asked, problems))
    assert (study.answer, study.operator) == ("wall", "jacobian")
    assert [one.name.partition(":")[2] for one in study.problems] == [
        "BURGERS", "BUNDLE", "BATCH", "ARROW", "BIDIAGONAL", "CONVOLUTION_1D",
    ]  # fmt: skip
    assert {one.name for one in study.backends} >= {"reverse", "forward", "finite"}
    assert study.limits.memory == 4 * GIB
