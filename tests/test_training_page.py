"""The page of a study of training, true to what was found: sentences, curves, table and pictures."""

from __future__ import annotations

import re
from typing import Any

import made_up_runs as made
import numpy as np
import pytest
import training_findings as found

from difflab.report import answer, cases, kinds, render
from difflab.report.claims import decision_regions, training, training_charts, training_pictures, training_runs
from difflab.report.numbers import TIMES

NETWORK = {"problem": "digits-mlp", "size": "small", "n_params": 610}
LAYER = [np.linspace(-1, 1, 16).reshape(4, 4).round(2).tolist(), np.zeros((4, 4)).tolist()]


def rows(**more: Any) -> list[dict[str, Any]]:
    return [
        found.row("analytic", found.trained(1e-4, first_layer=LAYER), **NETWORK),
        found.row("reverse", found.trained(8e-5, first_layer=LAYER, **more), **NETWORK),
        found.row("finite (central)", found.trained(4e-3, error=1e-8, first_layer=LAYER), **NETWORK),
        found.row("complex-step", found.trained(8e-3), **NETWORK),
    ]


@pytest.fixture(scope="module")
def page() -> str:
    return render(found.run_of(rows()))


def test_the_answer_is_computed_from_what_was_found() -> None:
    said = answer(found.run_of(rows())).sentences
    assert re.fullmatch(
        r"On digits-mlp small, all four ways reach the same loss after 494 steps: 0\.184, with differences of at "
        r"most 10⁻⁸ of it\.",
        said[0],
    )
    assert re.fullmatch(
        r"In 490 ms reverse mode took 6 000 steps, and in 4\.00 s the complex step 499, so the loss is 0\.0165 against "
        r"0\.182, and of 299 held-out digits 299 are right against 208\.",
        said[1],
    )
    assert len(said) == 2


def test_a_slower_winner_and_another_path_are_said() -> None:
    far = [found.row("reverse", found.trained(8e-3), **NETWORK)]
    far += [found.row("finite (central)", found.trained(8e-5, error=0.5), **NETWORK)]
    said = answer(found.run_of(far)).sentences
    assert re.match(
        r"On digits-mlp small the paths part: after \d+ steps the loss is 0\.\d+ with finite differences", said[0]
    )
    assert re.match(
        r"In 490 ms finite differences \(central\) took 6 000 steps, .* reverse mode 499, so the loss", said[1]
    )
    worse = [found.row("reverse", found.trained(8e-3), **NETWORK)]
    worse += [found.row("finite (central)", found.trained(8e-5, error=300.0), **NETWORK)]
    assert "and yet the loss is 4.98 against 0.182" in answer(found.run_of(worse)).sentences[1]


def test_who_took_as_many_steps_is_compared_by_the_clock() -> None:
    both = [found.row("reverse", found.trained(1e-4), **NETWORK), found.row("forward", found.trained(5e-4), **NETWORK)]
    said = answer(found.run_of(both)).sentences
    assert said[0].startswith(
        "On digits-mlp small, both reach the same loss after 6 000 steps: 0.0165, to the last digit."
    )
    assert (
        said[1] == "For 6 000 steps reverse mode took 610 ms, and forward mode 3.01 s for as many, 4.9 times as long."
    )


def test_what_diverged_is_said_and_no_reference() -> None:
    lost = found.trained(1e-4)
    lost |= {"loss": [2.0, None], "steps": [0, 17], "seconds": [0.01, 0.02], "done": 17}
    lost |= {"stopped": "diverged: the loss is nan at step 17"}
    run = found.run_of([found.row("analytic", lost, **NETWORK), found.row("reverse", found.trained(1e-4), **NETWORK)])
    said = answer(run)
    assert (
        "hand-derived gradient has no finite loss after 17 steps" in said.sentences[0] or "after" in said.sentences[0]
    )
    assert said.caveats == ("analytic on digits-mlp small diverged: the loss is nan at step 17.",)
    field = training_runs.fields(cases.read(run.rows))[0]
    assert field.reference.case.backend == "reverse"
    assert ">not finite</td>" in render(run)


def test_amplified_rounding_is_told_from_rounding() -> None:
    def of(error: float) -> str:
        pair = [found.row("analytic", found.trained(1e-4), **NETWORK)]
        pair += [found.row("forward", found.trained(1e-4, error=error), **NETWORK)]
        return answer(found.run_of(pair)).sentences[-1]

    assert of(1e-5) == (
        "On digits-mlp small even exact gradients part, forward mode by up to 10⁻⁵: the path amplifies rounding."
    )
    assert of(1e-14).startswith("The exact gradients keep together everywhere, within")


def test_nothing_trained_and_nothing_there_are_said() -> None:
    assert answer(found.run_of([])).sentences == ("This run holds no case, so there is no answer.",)
    none = found.run_of(
        [made.failed("symbolic", "skipped_predicted", **NETWORK), made.failed("reverse", "crash", **NETWORK)]
    )
    assert answer(none).sentences == ("Nothing was trained: of 2 cases, 1 crashed, 1 refused by forecast.",)
    assert answer(none).caveats[0].startswith("symbolic on digits-mlp small: refused by forecast, made-up reason")
    assert "Loss against steps" not in render(none)
    alone = answer(found.run_of([found.row("reverse", found.trained(1e-4), **NETWORK)]))
    assert alone.sentences == (
        "On digits-mlp small, reverse mode alone was trained: a loss of 0.0165 after 6 000 steps.",
    )
    still = found.run_of([*rows(), made.failed("forward", "interrupted", **NETWORK)], quick=True)
    assert answer(still).caveats[0] == "Unfinished: 4 of 5 cases trained so far."
    assert "quick run" in render(still)


def test_the_page_has_its_charts_its_table_and_no_times_of_gradients(page: str) -> None:
    for anchor in ("steps", "seconds", "parting", "first-layer", "trained", "rows", "words", "measured"):
        assert f'<section id="{anchor}"' in page
    for absent in ("scoreboard", "Work ratio", "95 %", "regions-h", "inpainted-h"):
        assert absent not in page
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "Every case trains alone on the machine" in page
    for name in ("analytic", "reverse", "finite (central)", "complex-step"):
        assert f"<span>{name}</span>" in page


def test_curves_end_with_a_mark_that_says_where(page: str) -> None:
    steps, seconds, parting = (
        page.split(f'<section id="{one}"')[1].split("</section>")[0] for one in ("steps", "seconds", "parting")
    )
    assert "<title>reverse: 0.0165 after 6 000 steps</title>" in steps
    assert "<title>complex-step: 0.182 after 499 steps</title>" in steps
    assert "<title>reverse: 0.0165 after 490 ms</title>" in seconds
    assert re.search(r"<title>finite \(central\): 1\.0e-08 after \d[\d ]* steps</title>", parting)
    assert "<title>analytic" not in parting
    assert "<span>analytic</span>" not in parting
    assert "analytic: from " in steps


def test_the_table_says_what_each_reached(page: str) -> None:
    listing = kinds.sections("training", cases.read(rows())).tables[0]
    texts = [[cell.text for cell in line] for line in listing.table.rows]
    assert listing.table.columns[0] == "Gradient"
    assert texts[0][:2] == ["analytic", "6 000"]
    assert texts[0][-2:] == ["the reference", ""]
    assert texts[1][-2:] == ["0", "never"]
    assert texts[2][-3:] == ["time over", "1.0e-08", "never"]
    assert "The rates are 0.5 on digits-mlp small." in listing.text


def test_numbers_of_the_charts_are_in_their_columns() -> None:
    for chart in kinds.sections(
        "training", cases.read([*rows(), made.failed("symbolic", "timeout", **NETWORK)])
    ).charts:
        assert chart.rows
        assert all(len(line) == len(chart.columns) for line in chart.rows)


# ------------------------------------------------------------------------------------------------ pictures


def test_a_border_is_counted_in_edges_and_regions_by_cells() -> None:
    assert training_pictures.border(found.regions(["0011", "0011", "1111"])) == 2 + 2
    assert training_pictures.border(None) == 0
    one, other = found.regions(["0011"]), found.regions(["0111"])
    assert training_pictures.difference(one, other) == 0.25
    assert training_pictures.difference(one, None) is None


def test_regions_are_drawn_with_their_border_and_points_by_shape() -> None:
    plane = {"problem": "plane", "size": "network-0.1", "n_params": 102}
    same, apart = found.regions(["0011"] * 4), found.regions(["0001"] * 4)
    made_up = [
        found.row("reverse", found.trained(1e-4, regions=same, strength=0.1, weights_length=2.5), **plane),
        found.row("forward", found.trained(1e-3, regions=same), **plane),
        found.row("finite", found.trained(4e-3, regions=apart), **plane),
    ]
    page = render(found.run_of(made_up))
    part = page.split('<section id="regions"')[1].split("</section>")[0]
    assert part.count('<figure class="panel">') == 2  # what reverse mode drew, and what differs from it
    assert "plane network-0.1, finite" in part
    drawing = part.split('<figure class="panel">')[1]
    assert drawing.count("<circle") == 1
    assert 'd="M2 0v1M2 1v1M2 2v1M2 3v1"' in drawing
    assert "<span>class 0</span>" in part
    assert "<span>class 1</span>" in part
    assert "<td>25 %</td>" in part
    # the upper right point lies in the upper right: rows are stored from the bottom up, drawings go from the top down
    cross = re.search(r'stroke-width="0.45" d="M([\d.]+) ([\d.]+)l', drawing)
    assert cross is not None
    assert float(cross[1]) > 2 > float(cross[2])


def test_the_lowest_row_of_regions_is_drawn_at_the_bottom() -> None:
    run = training_runs.read(
        cases.read([found.row("reverse", found.trained(1e-4, regions=found.regions(["01", "00"])))])[0]
    )
    assert run is not None
    text = decision_regions.Regions(run, "p", "T").markup()
    assert 'd="M0 1h1v1h-1z' in text or "M0 1h1" in text
    assert "M1 1h1v1h-1z" in text  # class 1 is at the right of the lower row


def test_weights_are_shown_of_the_farthest_and_of_the_slowest(page: str) -> None:
    part = page.split('<section id="first-layer"')[1].split("</section>")[0]
    assert part.count('<svg class="chart picture"') == 2
    assert "digits-mlp small, reverse, 6 000 steps" in part
    assert "digits-mlp small, finite (central), 998 steps" in part
    assert "unit 1: from -1 to 1" in part


def test_completed_images_are_shown_of_every_way() -> None:
    image = [np.eye(3).tolist()] * 2

    def completed(error: float) -> dict[str, Any]:
        pictures = {"original": image, "masked": image, "completed": image}
        return {"inpainted": {**pictures, "error": error, "mean_error": 0.38}}

    made_up = [
        found.row("reverse", found.trained(1e-4, **completed(0.11)), **NETWORK),
        found.row("finite", found.trained(4e-3, **completed(0.22)), **NETWORK),
    ]
    part = render(found.run_of(made_up)).split('<section id="inpainted"')[1].split("</section>")[0]
    assert part.count('<svg class="chart picture"') == 4
    titles = re.findall("<figcaption>(.*?)</figcaption>", part)
    assert titles == [
        "digits-mlp small, original",
        "digits-mlp small, masked",
        "reverse, 6 000 steps, error 0.110",
        "finite, 998 steps, error 0.220",
    ]
    assert "Painting the mean of the training images has an error of 0.380." in part
    assert "<td>0.220</td>" in part
    assert "hidden pixels are painted with an error of 0.110 against 0.220." in answer(found.run_of(made_up)).text


def test_losses_are_written_short_and_axes_have_round_numbers() -> None:
    assert training_charts.loss_words(0.0123456) == "0.0123"
    assert training_charts.loss_words(3.2e-7) == f"3.2{TIMES}10⁻⁷"
    assert training_charts._tick(0.03) == "0.03"
    assert training_charts._tick(1e-5) == "10⁻⁵"
    assert training_charts._thinned(list(range(100)))[0] == 0
    assert training_charts._thinned(list(range(100)))[-1] == 99
    assert training.STOPPED["max_iters"] == "all steps done"


def test_who_never_took_a_step_is_left_out_of_the_comparison() -> None:
    none = found.trained(1e-4) | {"steps": [0], "loss": [2.0], "seconds": [5.0], "done": 0, "stopped": "seconds"}
    run = found.run_of([*rows(), found.row("symbolic", none | {"step_s": None}, **NETWORK)])
    said = answer(run).sentences
    assert said[0].startswith("On digits-mlp small, all four ways reach the same loss after 494 steps")
    assert "and in 5.00 s symbolic differentiation 0, so the loss is 0.0165 against 2.00" in said[1]
    assert ">symbolic<" in render(run)
    assert answer(run).caveats == ("symbolic on digits-mlp small took no step: preparing took 10.0 ms.",)


def test_regions_of_fewer_steps_are_no_matter_of_the_gradient() -> None:
    plane: dict[str, Any] = {"problem": "plane", "n_params": 102}
    one, other = found.regions(["0011", "0011"]), found.regions(["0111", "0011"])

    def of(slow: dict[str, Any], drawn: dict[str, Any]) -> str:
        made_up = []
        for strength in (0.001, 0.1):
            more = {"strength": strength, "score": {"what": "points", "right": 70, "of": 80}}
            size = f"network-{strength:g}"
            made_up.append(found.row("reverse", found.trained(1e-4, regions=one, **more), size=size, **plane))
            made_up.append(found.row("finite", found.trained(regions=drawn, **slow, **more), size=size, **plane))
        return answer(found.run_of(made_up)).text

    assert "After as many steps every way of getting the gradient draws the same regions" in of({"step_s": 5e-4}, one)
    differ = of({"step_s": 5e-4}, other)
    assert "the regions differ by the way of getting the gradient, most on plane network-0.001" in differ
    assert "those of finite differences in 12 % of the cells from those of reverse mode." in differ
    assert "still puts 10 of 80 points on the wrong side and the border between its regions stays at 2" in differ
    late = of({"step_s": 4e-3}, other)
    assert "Where the time was over earlier they differ in at most 12 % of the cells (finite differences on" in late
    assert "the way of getting the gradient" not in late.split("Where the time")[0]
    assert "of 80 points 70 are right with both" in late
