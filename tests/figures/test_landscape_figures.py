"""Pictures, pages and tables of landscapes, from results alone."""

import copy
import re

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.colors import LogNorm

from repcon_jax.errors import ConfigError
from repcon_jax.figures.landscapes import landscape_tables, write_landscape_figures, write_landscape_report
from repcon_jax.figures.landscapes.curvature import valleys_figure
from repcon_jax.figures.landscapes.interactive import page_figure
from repcon_jax.figures.landscapes.planes import plane_figure
from repcon_jax.figures.landscapes.scales import first_of_each, limits, numbers, scale_of
from repcon_jax.records.scores import Score, plain_scores

SCORES = {
    "norm(part='encoder')": Score("norm, part='encoder'"),
    "train/kl_divergence": Score("train KL divergence", "nats", False, "log"),
    "train/cross_entropy": Score("train cross-entropy", "nats", False),
    "test/error": Score("test error", "fraction", False),
    "linear": Score("linear accuracy", "fraction", True),
    "linear(standardise=True)": Score("linear accuracy, standardise=True", "fraction", True),
    "cross_entropy": Score("cross-entropy", "nats", False),
}
DECLARED = {"scores": plain_scores(SCORES)}
POINTS = {"teacher": (0.0, 0.0), "student": (4.0, 0.0), "supervised": (1.0, 3.0)}


def bowls(x, y):
    """Metrics of a plane with an exact zero of the divergence at the teacher."""
    kl, loss = (x**2 + y**2) / 10, ((x - 1) ** 2 + (y - 3) ** 2) / 4
    return {
        "norm(part='encoder')": 5 + kl,
        "train/kl_divergence": kl,
        "train/cross_entropy": loss,
        "test/error": 1 - 0.9 * np.exp(-loss),
        "linear": 0.1 + 0.5 * np.exp(-loss),
        "linear(standardise=True)": 0.2 + 0.5 * np.exp(-loss),
    }


def grid(name, x, y):
    values = bowls(*np.meshgrid(x, y))
    extent = [min(x), max(x), min(y), max(y)]
    values = {metric: array.tolist() for metric, array in values.items()}
    return {"name": name, "extent": extent, "x": list(x), "y": list(y), "values": values}


def plane(*grids, basis="orthonormal"):
    points = [
        {"name": name, "coordinates": list(place), "values": {m: float(v) for m, v in bowls(*place).items()}}
        for name, place in POINTS.items()
    ]
    about = {"kind": "plane", "title": "Three networks", "batch_norm": "recalibrated", "origin": "first"}
    return {**about, **DECLARED, "basis": basis, "reference": "teacher", "points": points, "grids": list(grids)}


WHOLE = grid("whole", [-2.0, 0.0, 2.0, 4.0, 6.0], [-1.0, 0.0, 1.0, 4.0])
CROP = grid("crop_1", [-0.5, 0.0, 0.5], [-0.5, 0.0, 0.5])


def pair(ends, height):
    t = np.linspace(0, 1, 5)
    values = {"test/error": 0.1 + height * 4 * t * (1 - t), "train/cross_entropy": height * t * (1 - t)}
    barrier = {metric: {"over_line": height, "over_mean": height} for metric in values}
    return {"ends": ends, "values": {m: v.tolist() for m, v in values.items()}, "barrier": barrier}


def paths():
    summary = {"mean": 0.5, "std": 0.0625, "min": 0.4375, "max": 0.5625}
    alone = {"mean": 0.001, "std": None, "min": 0.001, "max": 0.001}
    groups = {
        "random start": {
            "pairs": [pair([0, 1], 0.4375), pair([0, 2], 0.5625)],
            "instability": {"test/error": summary, "train/cross_entropy": summary},
        },
        "student start": {
            "pairs": [pair([0, 1], 0.001)],
            "instability": {"test/error": alone, "train/cross_entropy": alone},
        },
    }
    about = {"kind": "paths", "title": "Students", "batch_norm": "recalibrated", "path": "linear", "aligned": False}
    return {**about, **DECLARED, "t": np.linspace(0, 1, 5).tolist(), "groups": groups}


def curvature():
    point = {
        "eigenvalues": [12.5, 3.0, None, -0.5],
        "residuals": [0.1, 0.1, None, 0.1],
        "trace": {"mean": 40.25, "standard_error": 1.5},
        "fisher_trace": 37.75,
        "sharpness": {"uniform": 0.375, "filter": 2.625},
    }
    positive = {**point, "eigenvalues": [1e3, 1.0], "residuals": [0.0, 0.0], "fisher_trace": None}
    line = {"t": [-1.0, 0.0, 1.0], "values": [2.0, 0.01, None], "slopes": [-2.0, 1.0], "asymmetry": 0.3125}
    points, lines = {"teacher": point, "student at 10 epochs": positive}, {"teacher -> student at 10 epochs": line}
    about = {"kind": "curvature", "title": "Curvature", "loss": "cross_entropy", **DECLARED}
    return {**about, "points": points, "lines": lines}


EXPECTED = {
    "plane": {
        *("plane_whole.png", "plane_whole.html", "plane_crop_1.png", "plane_crop_1.html"),
        *("surface_whole_train_kl_divergence.png", "surface_whole_linear.png"),
        *("surface_crop_1_train_kl_divergence.png", "surface_crop_1_linear.png"),
    },
    "paths": {"paths.png", "barriers.png"},
    "curvature": {"curvature.png", "valleys.png"},
}


@pytest.mark.slow
@pytest.mark.parametrize("results", [plane(WHOLE, CROP), paths(), curvature()], ids=lambda results: results["kind"])
def test_every_kind_has_its_pictures_and_a_report_that_shows_them(results, tmp_path):
    given = copy.deepcopy(results)
    written = write_landscape_figures(tmp_path / "figures", results)
    assert results == given
    assert {path.name for path in written} == EXPECTED[results["kind"]]
    assert {path.name for path in (tmp_path / "figures").iterdir()} == EXPECTED[results["kind"]]
    assert all(path.stat().st_size > 5_000 for path in written)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written if path.suffix == ".png")
    assert not plt.get_fignums()
    report = write_landscape_report(tmp_path, results, written).read_text()
    assert report.startswith(f"# {results['title']}\n")
    assert landscape_tables(results) in report
    assert set(re.findall(r"\(figures/(.*)\)", report)) == EXPECTED[results["kind"]]


def test_a_page_needs_no_other_file(tmp_path):
    pages = [path for path in write_landscape_figures(tmp_path, plane(CROP)) if path.suffix == ".html"]
    text = pages[0].read_text()
    assert "Plotly.newPlot" in text
    assert len(text) > 1_000_000
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=", text)
    for metric in CROP["values"]:
        assert SCORES[metric].label in text.replace("\\u0027", "'")


def test_a_page_shows_one_metric_at_a_time_and_says_true_values():
    figure = page_figure(plane(WHOLE), WHOLE)
    metrics = list(WHOLE["values"])
    surface, points = figure["data"][2:4]
    assert metrics[1] == "train/kl_divergence"
    assert surface["hovertext"][1][1] == "0 nats"
    assert points["hovertext"][1].endswith("distance 1: 4<br>distance 2: 0<br>train KL divergence: 1.6 nats")
    assert points["z"][1] == pytest.approx(np.log10(1.6))
    # The zero stands at the height of the smallest positive value.
    assert points["z"][0] == surface["z"].min() == pytest.approx(-1)
    for i, button in enumerate(figure["layout"]["updatemenus"][0]["buttons"]):
        assert [j // 2 for j, shown in enumerate(button["args"][0]["visible"]) if shown] == [i, i]


def test_a_picture_shows_every_metric_and_point_on_cells_around_the_grid():
    figure = plane_figure(plane(WHOLE, CROP), WHOLE)
    panels = [panel for panel in figure.axes if panel.get_title()]
    assert [p.get_title() for p in panels] == [scale_of(DECLARED, m).label for m in WHOLE["values"] if "norm" not in m]
    assert panels[0].get_xlim() == (-3, 7)
    assert panels[0].get_ylim() == (-1.5, 5.5)
    assert panels[0].collections[0].norm.vmin == pytest.approx(0.1)
    assert panels[3].collections[0].get_array().max() <= 60
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [*POINTS, "contours: norm, part='encoder'", "a crop"]
    plt.close(figure)


def test_a_few_huge_losses_leave_colours_to_the_others():
    steep = only(copy.deepcopy(WHOLE), "train/cross_entropy", "test/error")
    steep["values"]["train/cross_entropy"][0][0] = 1e6
    figure = plane_figure(plane(steep), steep)
    assert figure.axes[0].collections[0].norm.vmax < 50
    plt.close(figure)


def test_points_outside_a_crop_are_left_out():
    figure = plane_figure(plane(WHOLE, CROP), CROP)
    assert [text.get_text() for text in figure.legends[0].get_texts()][:-1] == ["teacher"]
    plt.close(figure)


@pytest.mark.parametrize(
    ("basis", "x", "y"),
    [("raw", "coordinate 1", "coordinate 2"), ("orthonormal_rms", *(f"RMS change per parameter, {i}" for i in (1, 2)))],
)
def test_axes_are_named_after_the_basis(basis, x, y):
    figure = plane_figure(plane(CROP, basis=basis), CROP)
    labels = {(p.get_xlabel(), p.get_ylabel()) for p in figure.axes if p.get_title()}
    assert (x, y) in labels
    assert {p.get_aspect() for p in figure.axes if p.get_title()} == {"auto" if basis == "raw" else 1.0}
    plt.close(figure)


def only(name, *metrics):
    """A grid with some of its metrics."""
    return {**name, "values": {metric: name["values"][metric] for metric in metrics}}


@pytest.mark.parametrize(("x", "y"), [([0.0], [-1.0, 0.0, 1.0]), ([0.0, 1.0, 2.0], [0.0]), ([0.0], [0.0])])
@pytest.mark.parametrize("basis", ["raw", "orthonormal"])
def test_a_grid_that_is_a_line_has_a_picture_but_no_surface(x, y, basis, tmp_path):
    line = only(grid("whole", x, y), "norm(part='encoder')", "train/kl_divergence")
    written = write_landscape_figures(tmp_path, plane(line, basis=basis))
    assert [path.name for path in written] == ["plane_whole.png"]


@pytest.mark.parametrize("value", [0.0, None, 0.25, -1e-9])
def test_constant_and_missing_values_draw_without_a_warning(value, tmp_path):
    flat = only(CROP, "norm(part='encoder')", "train/kl_divergence", "linear")
    flat["values"] = {metric: [[value] * 3] * 3 for metric in flat["values"]}
    results = plane(flat)
    for point in results["points"]:
        point["values"] = dict.fromkeys(point["values"], value)
    assert len(write_landscape_figures(tmp_path, results)) == 4
    assert "- " in landscape_tables(results) or value is not None


def test_missing_values_on_paths_leave_gaps(tmp_path):
    results = paths()
    results["groups"]["student start"]["pairs"][0]["values"]["test/error"] = [None] * 5
    results["groups"]["student start"]["pairs"][0]["barrier"]["test/error"] = {"over_line": None, "over_mean": None}
    results["groups"]["student start"]["instability"]["test/error"] = dict.fromkeys(("mean", "std", "min", "max"))
    assert len(write_landscape_figures(tmp_path, results)) == 2
    assert "| test error (%)" in landscape_tables(results)


def rows(results):
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in landscape_tables(results).splitlines()]


def test_the_table_of_a_plane_has_the_values_at_its_points():
    table = rows(plane(WHOLE))
    assert ["metric", *POINTS] == table[0]
    assert ["coordinates", "(0, 0)", "(4, 0)", "(1, 3)"] in table
    assert ["train KL divergence (nats)", "0", "1.6", "1"] in table
    assert ["linear accuracy, standardise=True (%)", "24.10", "20.56", "70.00"] in table


def test_the_table_of_paths_has_barriers_and_instabilities():
    table = rows(paths())
    assert ["test error (%)", "random start", "2", "50.00 ± 8.84", "50.00 ± 6.25", "43.75", "56.25"] in table
    assert ["train cross-entropy (nats)", "student start", "1", "0.001", "0.001", "0.001", "0.001"] in table


def test_the_tables_of_curvature_have_points_and_lines():
    table = rows(curvature())
    assert ["teacher", "12.5", "-0.5", "40.25 ± 1.5", "37.75", "0.375", "2.625"] in table
    assert ["student at 10 epochs", "1000", "1", "40.25 ± 1.5", "-", "0.375", "2.625"] in table
    assert ["teacher -> student at 10 epochs", "-2", "1", "0.3125"] in table


def test_the_loss_along_lines_is_named_as_declared():
    figure = valleys_figure(curvature())
    assert figure.get_supylabel() == "cross-entropy (nats)"
    plt.close(figure)


@pytest.mark.parametrize("results", [plane(WHOLE, CROP), paths(), curvature()], ids=lambda results: results["kind"])
def test_results_without_declarations_are_drawn_and_tabulated_as_bare_numbers(results, tmp_path):
    bare = {name: value for name, value in results.items() if name != "scores"}
    drawn = write_landscape_figures(tmp_path / "figures", bare)
    assert drawn
    assert write_landscape_report(tmp_path, bare, drawn).exists()
    if bare["kind"] == "plane":
        assert ["linear(standardise=True)", "0.241", "0.2056", "0.7"] in rows(bare)
        figure = plane_figure(bare, WHOLE)
        assert [panel.get_title() for panel in figure.axes if panel.get_title()] == list(WHOLE["values"])
        plt.close(figure)


def test_what_is_drawn_follows_from_declarations_and_not_from_names(tmp_path):
    """A metric called norm that should be low, and a loss that says only where one is."""
    renamed = {"norm": Score("size", "m", False, "log"), "kl_divergence": Score("place")}
    values = {"kl_divergence": WHOLE["values"]["linear"], "norm": WHOLE["values"]["train/cross_entropy"]}
    results = {**plane({**WHOLE, "values": values}), "scores": plain_scores(renamed)}
    figure = plane_figure(results, results["grids"][0])
    assert [panel.get_title() for panel in figure.axes if panel.get_title()] == ["size (m)"]
    assert isinstance(figure.axes[0].collections[0].norm, LogNorm)
    assert "contours: place" in [text.get_text() for text in figure.legends[0].get_texts()]
    plt.close(figure)
    assert first_of_each(results, values) == ["norm"]


def test_an_unknown_kind_is_named_with_the_known_ones(tmp_path):
    for call in (landscape_tables, lambda results: write_landscape_figures(tmp_path, results)):
        with pytest.raises(ConfigError, match="did you mean 'plane'"):
            call({"kind": "plain"})


def test_a_logarithmic_scale_ends_above_rounding_errors():
    assert limits(numbers([0.0, 1e-12, 1.0, None]), True) == (1e-6, 1.0)
    assert limits(numbers([1e-5, *[1e-2] * 200, 1.0]), True) == (1e-2, 1.0)
    assert limits(numbers([None, 2.0, 3.0]), False) == (2.0, 3.0)
