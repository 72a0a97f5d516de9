"""Runs of studies of training: what is stored, what ends a case, what a study may set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness_runs import run

import difflab as dl
from difflab.data import digits
from difflab.errors import StudyError
from difflab.harness import store, study_file
from difflab.harness.catalogue import Catalogue
from difflab.harness.examinations.training_tasks import GRID, TASKS, layers, task
from difflab.harness.study_kinds import Training
from difflab.problems import find

pytestmark = pytest.mark.long  # real runs of studies

HEAD = 'title = "T"\nquestion = "Q"\nanswer = "training"\n'
BACKENDS = "".join(f'[[backend]]\nname = "{name}"\n' for name in ("analytic", "reverse", "finite"))


def trainer(how: str) -> str:
    return f'[[backend]]\nname = "training_doubles:Trainer"\nlabel = "{how}"\nhow = "{how}"\n'


def problem(name: str, sizes: str = '["tiny"]', more: str = "") -> str:
    return f'[[problem]]\nname = "{name}"\nsizes = {sizes}\n{more}'


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("training")
    settings = "[training]\nsteps = 60\nseconds = 30\n[limits]\nseconds = 40\n"
    (folder / "v.toml").write_text(HEAD + problem("xor") + problem("digits-mlp") + BACKENDS + settings)
    found = run(folder / "v.toml", folder / "run")
    assert found.finished
    kinds = [event["kind"] for event in store.read(folder / "run")]
    assert "reference" not in kinds  # nothing is graded
    assert found.manifest["study"]["training"]["steps"] == 60
    return list(found.rows)


def findings(rows: list[dict[str, Any]], problem: str, backend: str) -> dict[str, Any]:
    return next(row["findings"] for row in rows if (row["problem"], row["backend"]) == (problem, backend))


def test_the_path_is_that_of_a_descent_by_hand(trained: list[dict[str, Any]]) -> None:
    found = findings(trained, "xor", "analytic")
    one = find("xor").build("tiny", "float64", 0)
    params, *data = one.args
    losses = [float(one.loss(params, *data))]
    for _ in range(60):
        gradient = one.analytic(params, *data)[1]
        params = {key: params[key] - found["rate"] * gradient[key] for key in params}
        losses.append(float(one.loss(params, *data)))
    assert (found["done"], found["stopped"], found["rate"]) == (60, "max_iters", TASKS["xor"]({}, one, 0).rate)
    assert found["steps"][:18] == list(range(18))
    assert found["steps"][-1] == 60
    assert found["loss"] == [losses[step] for step in found["steps"]]


def test_all_start_alike_and_see_the_same_batches(trained: list[dict[str, Any]]) -> None:
    for name in ("xor", "digits-mlp"):
        exact, reverse, finite = (findings(trained, name, one) for one in ("analytic", "reverse", "finite"))
        assert exact["steps"] == reverse["steps"] == finite["steps"]
        assert exact["loss"][0] == reverse["loss"][0] == finite["loss"][0]
        np.testing.assert_allclose(reverse["loss"], exact["loss"], rtol=1e-12)
        np.testing.assert_allclose(finite["loss"], exact["loss"], rtol=1e-6)
        assert finite["loss"] != exact["loss"]
        for one in (exact, reverse, finite):
            assert one["seconds"] == sorted(one["seconds"])
            assert one["seconds"][0] == one["prepare_s"]


def test_digits_are_trained_on_batches_of_the_images_that_are_not_held_out(trained: list[dict[str, Any]]) -> None:
    found = findings(trained, "digits-mlp", "reverse")
    count = int(np.sum(digits()[1] < 3))
    assert found["batch"] == find("digits-mlp").sizes["tiny"]["batch"]
    assert found["of"] == f"all {count - count // 6} training digits"
    assert found["score"]["of"] == count // 6
    assert found["score"]["right"] > 0.6 * found["score"]["of"]
    assert np.shape(found["first_layer"]) == (3, 4, 4)


def test_training_and_held_out_images_are_all_the_images() -> None:
    sizes, one = find("digits-mlp").sizes["small"], find("digits-mlp").build("small", "float32", 0)
    made = task("digits-mlp", sizes, one, 0)
    x, t = made.data
    assert (x.dtype, t.dtype) == (np.float32, np.float32)
    assert len(x) + made.look(one.args[0])["score"]["of"] == 1797
    known = {(image / np.float32(16)).astype(np.float32).tobytes() for image in digits()[0]}
    assert {image.tobytes() for image in x} <= known


def test_preparing_that_takes_too_long_is_refused_by_its_forecast(tmp_path: Path) -> None:
    slow = '[[backend]]\nname = "symbolic"\nway = "tree"\ndata = "symbols"\n[training]\nseconds = 0.2\n'
    (tmp_path / "v.toml").write_text(HEAD + problem("xor") + slow)
    (row,) = run(tmp_path / "v.toml", tmp_path / "run").rows
    assert row["outcome"] == "skipped_predicted"
    assert "to prepare and take one step; training may take 200 ms" in row["reason"]


def test_a_problem_of_ones_own_and_backends_that_misbehave(tmp_path: Path) -> None:
    ways = ("well", "NaN", "raise", "wrong shape", "hang")
    text = HEAD + problem("harness_doubles:SQUARES") + "".join(trainer(how) for how in ways)
    settings = '[training]\nsteps = 30\nrate = 0.05\n[limits]\nseconds = 3\nmemory = "300 MiB"\n'
    (tmp_path / "v.toml").write_text(text + settings)
    rows = {row["backend"]: row for row in run(tmp_path / "v.toml", tmp_path / "run").rows}
    well, lost = rows["well"]["findings"], rows["NaN"]["findings"]
    assert (well["rate"], well["done"], well["batch"], well["of"]) == (0.05, 30, None, "all its data")
    assert lost["stopped"] == "diverged: the gradient is not finite at step 0"
    assert lost["done"] == 0
    assert lost["step_s"] is None
    assert rows["raise"]["outcome"] == "crash"
    assert "gave a gradient of shapes [(2,)] for parameters of shapes [(3,)]" in rows["wrong shape"]["reason"]
    assert rows["hang"]["outcome"] == "timeout"


def test_a_quick_run_takes_a_quarter_of_the_steps_and_the_stop_rule_holds(tmp_path: Path) -> None:
    text = HEAD + problem("xor") + '[[backend]]\nname = "reverse"\n'
    (tmp_path / "v.toml").write_text(text + "[training]\nsteps = 100\n")
    quick = run(tmp_path / "v.toml", tmp_path / "quick", quick=True).rows[0]["findings"]
    assert quick["budget"] == {"steps": 25, "seconds": Training().seconds / 2}
    assert quick["done"] == 25
    (tmp_path / "v.toml").write_text(text + "[training]\nsteps = 100\nprecision = 100.0\nmomentum = 0.5\n")
    stopped = run(tmp_path / "v.toml", tmp_path / "stopped").rows[0]["findings"]
    assert (stopped["stopped"], stopped["done"], stopped["momentum"]) == ("precision", 1, 0.5)


def test_a_wrong_setting_has_its_place() -> None:
    known = Catalogue({"xor": ["tiny"]}, {"reverse": "reverse"}, {"reverse": []})
    text = HEAD + problem("xor") + '[[backend]]\nname = "reverse"\n[training]\nsteps = 0\nspeed = 3\n'
    with pytest.raises(StudyError) as caught:
        study_file.parse(text, "v.toml", lambda asked, problems: known)
    assert "training.steps: must be a whole number from 1 to 10000000, got 0" in str(caught.value)
    assert "speed" in str(caught.value)


# ------------------------------------------------------------------------------------------------ looking


def test_the_network_that_is_looked_at_is_the_one_that_was_trained() -> None:
    """The loss computed from what ``layers`` gives is the loss of the problem."""
    one = find("digits-mlp").build("small", "float64", 0)
    params, x, t = one.args
    z = layers(params, x, np.tanh)
    expected = np.mean(np.log(np.sum(np.exp(z), axis=1)) - np.sum(t * z, axis=1))
    assert float(one.loss(*one.args)) == pytest.approx(float(expected), rel=1e-13)
    plane = find("plane").build("network-0.01", "float64", 0)
    params, x, t, _ = plane.args
    z = layers(params, x, np.tanh)
    penalty = sum(float(np.sum(params[key] ** 2)) for key in ("w1", "w2"))
    expected = np.mean(np.log(np.sum(np.exp(z), axis=1)) - np.sum(t * z, axis=1)) + 0.01 * penalty
    assert float(plane.loss(*plane.args)) == pytest.approx(float(expected), rel=1e-13)


def test_regions_are_those_of_the_trained_network_with_all_points() -> None:
    one = find("xor").build("tiny", "float64", 0)
    made = task("xor", find("xor").sizes["tiny"], one, 0)
    params = dl.descend(one.loss, *one.args, rate=made.rate, max_iters=2000).params
    found = made.look(params)
    assert found["score"] == {"what": "points", "right": 8, "of": 8}
    regions = found["regions"]
    low, high = regions["box"]
    assert [len(row) for row in regions["rows"]] == [GRID] * GRID
    for x, y, label in regions["points"]:
        column, row = (math.floor((value - low) / (high - low) * GRID) for value in (x, y))
        assert regions["rows"][row][column] == str(label)


@pytest.mark.parametrize("strength", [0.001, 0.01, 0.1])
def test_a_stronger_penalty_makes_shorter_weights(strength: float) -> None:
    size = f"network-{strength:g}"
    one = find("plane").build(size, "float64", 0)
    made = task("plane", find("plane").sizes[size], one, 0)
    found = dl.descend(one.loss, *one.args, rate=made.rate, momentum=0.9, max_iters=600)
    looked = made.look(found.params)
    assert looked["strength"] == strength
    length = math.sqrt(sum(float(np.sum(found.params[key] ** 2)) for key in ("w1", "w2")))
    assert looked["weights_length"] == pytest.approx(length, abs=1e-5)
    lower, upper = {0.001: (5.0, 12.0), 0.01: (1.8, 3.0), 0.1: (0.8, 1.4)}[strength]
    assert lower < length < upper


def test_completed_images_keep_what_is_known_and_are_graded_where_it_is_hidden() -> None:
    size, one = find("inpainting").sizes["small"], find("inpainting").build("small", "float64", 0)
    made = task("inpainting", size, one, 0)
    found = dl.descend(one.loss, one.args[0], *made.data, rate=made.rate, batch=made.batch, max_iters=600)
    before, after = made.look(one.args[0]), made.look(found.params)
    shown = {key: np.array(after["inpainted"][key], float) for key in ("original", "masked", "completed")}
    hidden = np.isnan(shown["masked"])
    assert shown["original"].shape == (6, 8, 8)
    assert hidden.sum(axis=(1, 2)).tolist() == [size["hole"] ** 2] * 6
    np.testing.assert_array_equal(shown["completed"][~hidden], shown["original"][~hidden])
    np.testing.assert_array_equal(shown["masked"][~hidden], shown["original"][~hidden])
    assert (shown["completed"][hidden] != shown["original"][hidden]).any()
    assert after["inpainted"]["error"] < after["inpainted"]["mean_error"] < before["inpainted"]["error"]
    assert after["inpainted"]["mean_error"] == before["inpainted"]["mean_error"]
    images, masks = made.data
    assert len(images) == 1797 - 1797 // 6
    trained = {image.tobytes() for image in np.round(images, 2)}
    assert not any(np.array(image, float).tobytes() in trained for image in after["inpainted"]["original"])
    layer = np.array(after["first_layer"], float)
    assert layer.shape == (16, 8, 8)
    never = (images * (1 - masks) == 0).all(axis=0)
    np.testing.assert_array_equal(np.isnan(layer), np.broadcast_to(never, layer.shape))
    assert never[2:6, 2:6].all()


def test_parameters_that_diverged_can_be_looked_at() -> None:
    one = find("digits-mlp").build("tiny", "float64", 0)
    made = task("digits-mlp", find("digits-mlp").sizes["tiny"], one, 0)
    found = made.look({key: value * np.nan for key, value in one.args[0].items()})
    assert found["first_layer"][0][0][0] is None
    assert 0 <= found["score"]["right"] <= found["score"]["of"]
