"""The charts of a page as figures for people: every panel, in real colours, with title, labels and legend."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import made_up_runs as made
import numpy as np
import pytest

import difflab as dl
from difflab import errors
from difflab.harness import results
from difflab.report import exhibits, style
from difflab.report.exhibits import path_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

OLD = Path(__file__).parent / "old_runs" / "format-1" / "full"
ROWS = [
    made.timed(name, factor * 1e-4 * (1 + n / 300), error, size=size, n_params=n)
    for name, factor, error in (("reverse", 1, 3e-16), ("forward", 9, 2e-16), ("finite (central)", 30, 1e-9))
    for size, n in (("small", 330), ("medium", 3000), ("large", 90_000))
]
ROWS.append(made.failed("symbolic", "timeout", size="large", n_params=90_000))


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    return exhibits.figures(made.run(ROWS))


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    figure.savefig(stream, format="svg")
    return stream.getvalue()


def test_every_panel_of_the_page_is_a_figure(drawn: dict[str, Figure]) -> None:
    run = made.run([*ROWS, *[row | {"problem": "other"} for row in ROWS]])
    assert list(drawn) == ["error", "time", "memory"]
    several = exhibits.figures(run)
    assert list(several) == [f"{name} {title}" for name in drawn for title in ("digits-mlp", "other")]
    panels = [panel for chart in exhibits.charts(run) for panel in chart.panels]
    assert len(several) == len(panels)


def test_no_placeholder_is_left(drawn: dict[str, Figure]) -> None:
    from matplotlib.colors import to_hex

    light = style.palettes()["light"]
    for name, figure in drawn.items():
        text = _svg(figure)
        assert not [colour for colour in style.ROLES if colour in text], name
        assert light["s0"] in text
        assert to_hex(figure.get_facecolor()) == "#ffffff"


def test_title_labels_and_legend_are_inside(drawn: dict[str, Figure]) -> None:
    figure = drawn["time"]
    assert figure.get_suptitle().startswith("Time against the number")
    texts = [text.get_text() for text in figure.texts]
    assert "digits-mlp" in texts
    assert "time of one gradient" in texts
    (axes,) = figure.axes
    assert axes.get_xlabel() == "parameters"
    assert any(label.get_text().endswith(" ms") for label in axes.get_yticklabels())
    (legend,) = figure.legends
    said = [text.get_text().partition(",")[0] for text in legend.get_texts()]
    assert {"reverse", "forward", "finite (central)", "symbolic"} <= set(said)


def test_nothing_lies_upon_anything_else(drawn: dict[str, Figure]) -> None:
    for name, figure in drawn.items():
        figure.draw_without_rendering()
        whole = figure.bbox
        (legend,) = figure.legends
        box = legend.get_window_extent()
        (axes,) = figure.axes
        plot = axes.get_tightbbox()
        assert plot is not None
        assert not box.overlaps(plot), name
        assert box.y0 >= whole.y0 - 0.5
        assert box.x1 <= whole.x1 + 0.5
        for text in figure.texts:
            own = text.get_window_extent()
            assert own.y0 > box.y1, name
            assert own.y1 <= whole.y1 + 0.5, name


def test_figures_can_be_saved_in_any_format_and_changed(drawn: dict[str, Figure], tmp_path: Path) -> None:
    figure = exhibits.figures(made.run(ROWS))["error"]
    figure.axes[0].set_title("mine")
    for kind, start in (("pdf", b"%PDF"), ("png", b"\x89PNG"), ("svg", b"<?xml")):
        figure.savefig(tmp_path / f"own.{kind}")
        assert (tmp_path / f"own.{kind}").read_bytes().startswith(start)
    assert figure._repr_png_().startswith(b"\x89PNG")  # pyright: ignore[reportAttributeAccessIssue] of ShownFigure
    assert drawn["error"].axes[0].get_title() == ""


def test_dollars_in_names_stay_dollars() -> None:
    rows = [row | {"size": "$x_1$" if row["size"] == "small" else row["size"]} for row in ROWS]
    assert "$x_1$" in _svg(exhibits.figures(made.run(rows))["time"]).replace("<!-- ", "")


def test_the_pages_pictures_are_as_before_after_figures_were_drawn() -> None:
    run = made.run(ROWS)
    before = [panel.svg for chart in exhibits.charts(run) for panel in chart.panels]
    exhibits.figures(run)
    assert [panel.svg for chart in exhibits.charts(run) for panel in chart.panels] == before


def test_neither_pyplot_nor_the_users_settings_are_touched() -> None:
    code = (
        "import matplotlib, sys; matplotlib.rcParams['font.size'] = 31; before = matplotlib.rcParams.copy()\n"
        f"import difflab as dl; found = dl.load({str(OLD)!r}).figures()\n"
        "assert found and 'matplotlib.pyplot' not in sys.modules\n"
        "assert matplotlib.rcParams.copy() == before\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def test_results_and_comparisons_have_figures() -> None:
    loaded = dl.load(OLD)
    assert {name.partition(" ")[0] for name in loaded.figures()} >= {"error", "time"}
    found = dl.compare(lambda x: np.sum(np.tanh(x)), np.ones(3), backends=["forward", "reverse"])
    assert {"error", "time"} <= set(found.figures())
    with pytest.raises(errors.InputError, match=r"load them with difflab\.load"):
        results.load(OLD).figures()


@pytest.mark.parametrize(
    ("d", "vertices"),
    [
        ("M17 1V15", [(17, 1), (17, 15)]),
        ("M12 2h10v10h-10z", [(12, 2), (22, 2), (22, 12), (12, 12), (12, 2)]),
        ("M1 1L2 -3.5.5 4", [(1, 1), (2, -3.5), (0.5, 4)]),
        ("M0 0Q1 1 2 0C1 1 2 2 3 3Z", [(0, 0), (1, 1), (2, 0), (1, 1), (2, 2), (3, 3), (0, 0)]),
    ],
)
def test_paths_of_legend_keys(d: str, vertices: list[tuple[float, float]]) -> None:
    assert np.asarray(path_of(d).vertices).tolist() == [list(map(float, one)) for one in vertices]


def test_arrays_are_figures_too() -> None:
    from difflab.report.pictures import pictures

    shown = pictures([np.eye(3), -np.eye(3)], "p", "T", "Two.", columns=2)
    with style.drawing():
        figure = shown.drawn()
    images: list[Any] = [image for axes in figure.axes for image in axes.images]
    assert [np.asarray(image.get_array()).tolist() for image in images] == [np.eye(3).tolist(), (-np.eye(3)).tolist()]


def test_decision_regions_are_figures_too() -> None:
    import training_findings as found

    stored = found.regions(["0111", "0011", "0001", "0000"])
    rows = [found.row("reverse", found.trained(1e-4, regions=stored))]
    (figure,) = [one for name, one in exhibits.figures(found.run_of(rows)).items() if name.startswith("regions")]
    (axes,) = figure.axes
    (image,) = axes.images
    shades: Any = np.asarray(image.get_array())
    assert image.get_extent() == [-2.0, 2.0, -2.0, 2.0]
    assert image.origin == "lower"  # rows are stored from the bottom up
    classes = (shades != shades[0, 0]).any(axis=-1).astype(int).tolist()
    assert ["".join(map(str, row)) for row in classes] == stored["rows"]
    lines: list[Any] = list(axes.lines)
    points = {line.get_marker(): line.get_xydata().tolist() for line in lines}
    assert points == {"o": [[-1.0, -1.0]], "x": [[1.0, 1.0]]}
