"""Tables and pictures of studies: what they show, for any shape of results."""

import csv
import itertools
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from repcon_jax.figures.study import study_tables, write_study_figures, write_study_report, write_study_tables
from repcon_jax.figures.study.picture import PICTURES
from repcon_jax.figures.study.pictures.bars import draw_bars
from repcon_jax.figures.study.pictures.curves import draw_curves
from repcon_jax.figures.study.pictures.heat_maps import draw_heat_map
from repcon_jax.figures.study.pictures.layers import draw_layers
from repcon_jax.figures.study.pictures.pairs import draw_pairs
from repcon_jax.figures.study.pictures.scatter import draw_scatter
from repcon_jax.figures.study.places import means_of
from repcon_jax.records.intervals import interval
from repcon_jax.records.scores import Score, plain_scores

SCORES = {
    "probe/value": Score("accuracy", "fraction", higher_is_better=True, about="how it is fitted"),
    "cost/value": Score("cost", "nats", higher_is_better=False, scale="log"),
    "distance/euclidean": Score("distance"),
    "distance/cosine": Score("cosine"),
}


def mean(name, networks, value, target="digits", shots=None, half=0.05):
    measurement, score = name.split("/")
    around = {"mean": value, "low": None, "high": None, "count": 3}
    if half is not None and value is not None:
        around |= {"low": value - half, "high": value + half}
    place = {"measurement": measurement, "score": score, "target": target, "shots": shots}
    return {**place, "networks": list(networks), **around, "values": []}


def results_of(networks=("teacher", "student", "other"), targets=("digits",), shots=(None,), **more):
    means = []
    for (i, name), target, number in itertools.product(enumerate(networks), targets, shots):
        means.append(mean("probe/value", [name], 0.5 + 0.01 * i + 0.001 * (number or 0), target, number))
    for i, pair in enumerate(itertools.combinations(networks, 2)):
        means.append(mean("distance/euclidean", pair, 1.0 + i, None))
    differences = [{**one, "network": one["networks"][0]} for one in means if one["networks"][0] != networks[0]]
    return {
        "kind": "study",
        "title": "A study",
        "networks": list(networks),
        "targets": list(targets),
        "shots": [number for number in shots if number],
        "seeds": [0, 1, 2],
        "draws": 1,
        "scores": plain_scores(SCORES),
        "means": means,
        "baseline": networks[0],
        "differences": [one for one in differences if len(one["networks"]) == 1],
        "claims": [],
        "compared": [],
        **more,
    }


def rows_of(table):
    """The cells of a Markdown table, without the line below its head."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]
    return [rows[0], *rows[2:]]


def tables_of(results):
    """Tables by the title above them."""
    parts = study_tables(results).split("\n\n")
    return {title: rows_of(table) for title, table in itertools.pairwise(parts) if title[:2] == "**"}


# Tables


def test_with_several_targets_these_stand_beside_each_other_and_shots_below():
    results = results_of(targets=("digits", "cifar10"), shots=(5, 20))
    rows = tables_of(results)["**probe: accuracy (%), higher is better**"]
    assert rows[0] == ["network", "shots", "digits", "cifar10"]
    assert rows[1] == ["teacher", "5", "50.50 ± 5.00", "50.50 ± 5.00"]
    assert [row[:2] for row in rows[3:5]] == [["other", "5"], ["teacher", "20"]]


def test_with_one_target_shots_stand_beside_each_other():
    rows = tables_of(results_of(shots=(5, 20)))["**probe on digits: accuracy (%), higher is better**"]
    assert rows[:2] == [["network", "5 shots", "20 shots"], ["teacher", "50.50 ± 5.00", "52.00 ± 5.00"]]


def test_pairs_without_target_stand_below_each_other_in_plain_units():
    rows = tables_of(results_of())["**distance/euclidean: distance**"]
    assert rows == [
        ["networks", "mean"],
        ["teacher and student", "1.000 ± 0.050"],
        ["teacher and other", "2.000 ± 0.050"],
        ["student and other", "3.000 ± 0.050"],
    ]


def test_differences_are_in_percentage_points_and_bold_where_0_is_outside_of_the_interval():
    results = results_of()
    student, other = results["differences"]
    student.update(mean=0.02, low=0.01, high=0.03)
    other.update(mean=-0.02, low=-0.05, high=0.01)
    rows = tables_of(results)["**probe, difference to teacher (percentage points)**"]
    assert rows[1:] == [["student", "**2.00 ± 1.00**"], ["other", "-2.00 ± 3.00"]]


def test_claims_stand_first_with_their_difference_and_verdict():
    place = {"measurement": "probe", "score": "value", "target": "digits", "shots": 5}
    claim = {"claim": "probe: a - b > 0", **place, "verdict": "holds", **interval([0.1, 0.2])}
    (head, row) = rows_of(study_tables(results_of(claims=[claim])).split("\n\n")[0])
    assert head == ["claim", "on", "difference", "verdict"]
    assert row == ["`probe: a - b > 0`", "digits, 5 shots", "15.00 ± 63.53 percentage points", "holds"]


def test_what_is_missing_or_not_finite_is_told(tmp_path):
    results = results_of(targets=("digits", "cifar10"))
    results["means"] = [one for one in results["means"] if (one["networks"], one["target"]) != (["other"], "cifar10")]
    results["means"][0].update(mean=None, low=None, high=None)
    rows = tables_of(results)["**probe: accuracy (%), higher is better**"]
    assert rows[1] == ["teacher", "not finite", "50.00 ± 5.00"]
    assert rows[3] == ["other", "52.00 ± 5.00", ""]
    assert write_study_figures(tmp_path, results)


def test_every_mean_is_a_line_of_the_csv_in_plain_units(tmp_path):
    results = results_of(shots=(5, 20))
    write_study_tables(tmp_path, results)
    with (tmp_path / "means.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results["means"])
    for row, one in zip(rows, results["means"], strict=True):
        assert float(row["mean"]) == one["mean"]
        assert [row["network"], *filter(None, [row["other_network"]])] == one["networks"]
    first = {name: rows[0][name] for name in ("measurement", "label", "unit", "higher_is_better", "target", "shots")}
    assert first == {
        **{"measurement": "probe", "label": "accuracy", "unit": "fraction", "higher_is_better": "True"},
        **{"target": "digits", "shots": "5"},
    }
    with (tmp_path / "differences.csv").open() as file:
        assert {row["network"] for row in csv.DictReader(file)} == {"student", "other"}


def test_the_report_says_how_to_read_it_and_shows_the_pictures_that_were_drawn(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "of_before.png").touch()
    results = results_of(shots=(5, 20), draws=3)
    pictures = write_study_figures(tmp_path / "figures", results)
    text = write_study_report(tmp_path, results, pictures).read_text()
    assert "over the seeds 0, 1, 2, each first averaged over 3 draws of training examples" in text
    assert "- `probe`: how it is fitted." in text
    assert [line for line in text.splitlines() if line[:2] == "!["] == [
        f"![{path.stem}](figures/{path.name})" for path in pictures
    ]
    assert sorted(pictures) == sorted((tmp_path / "figures").glob("*.png"))
    alone = write_study_report(tmp_path, results_of(seeds=[], draws=1), []).read_text()
    assert "One network and one draw each, so no intervals." in alone


def test_tables_load_no_drawing_library():
    code = "import sys, repcon_jax.figures.study; sys.exit('matplotlib' in sys.modules)"
    root = pathlib.Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


# Pictures


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, {"probe", "probe_difference", "distance_euclidean"}),
        ({"shots": (1, 5, 20)}, {"probe", "probe_difference", "distance_euclidean"}),
        (
            {"targets": ("a", "b", "c", "d"), "networks": tuple(map(str, range(15)))},
            {"probe", "probe_difference", "probe_targets", "probe_difference_targets", "distance_euclidean"},
        ),
        ({"shots": (1, 5, None)}, {"probe", "probe_difference", "distance_euclidean"}),
        ({"networks": ("one",)}, {"probe"}),
        ({"means": [], "differences": []}, set()),
    ],
)
def test_every_score_has_its_picture(changes, names, tmp_path):
    pictures = write_study_figures(tmp_path, results_of(**changes))
    assert {path.stem for path in pictures} == names
    assert all(path.stat().st_size > 1000 for path in pictures)


def means_named(results, name, networks=1):
    return means_of(results, networks)[name]


def test_bars_are_as_long_as_the_means_in_percent_and_intervals_reach_their_ends():
    results = results_of(targets=("a", "b"))
    figure = draw_bars(results, "probe/value", means_named(results, "probe/value"))
    assert [axis.get_title() for axis in figure.axes] == ["a", "b"]
    for axis in figure.axes:
        np.testing.assert_allclose([bar.get_width() for bar in axis.patches], [50, 51, 52])
        (segments,) = (collection.get_segments() for collection in axis.collections)
        np.testing.assert_allclose([segment[:, 0] for segment in segments], [[45, 55], [46, 56], [47, 57]])
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == results["networks"]


def drawn_lines(axis):
    """The lines of an axis without the ends of their intervals."""
    return [line for line in axis.lines if len(line.get_xdata()) > 1 and line.get_marker() not in "|_"]


def test_networks_have_one_colour_in_all_pictures():
    results = results_of(shots=(5, 20))
    bars = draw_bars(results, "probe/value", results_of()["means"][1:3])  # without the first network
    curves = draw_curves(results, "probe/value", means_named(results, "probe/value"))
    colours = [line.get_color() for line in drawn_lines(curves.axes[0])]
    assert [bar.get_facecolor()[:3] for bar in bars.axes[0].patches] == colours[1:3]


def test_curves_go_through_the_means_beside_their_shots_and_stay_within_percent():
    results = results_of(shots=(5, 20))
    for one in results["means"]:
        if one["networks"] == ["student"]:
            one.update(low=-0.5, high=1.5)
    figure = draw_curves(results, "probe/value", means_named(results, "probe/value"))
    (axis,) = figure.axes
    x, y = (np.array([line.get_data()[i] for line in drawn_lines(axis)], float) for i in (0, 1))
    np.testing.assert_allclose(y, [[50.5, 52], [51.5, 53], [52.5, 54]])
    np.testing.assert_allclose(np.exp(np.log(x).mean(0)), [5, 20])
    assert axis.get_xscale() == "log"
    low, high = axis.get_ylim()
    assert low >= -2
    assert high <= 102
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == results["networks"]


def test_a_heat_map_has_every_pair_once_and_a_dash_for_those_without():
    results = results_of(networks=("a", "b", "c", "d"))
    means = [one for one in means_named(results, "distance/euclidean", 2) if one["networks"] != ["b", "c"]]
    figure = draw_pairs(results, "distance/euclidean", means)
    axis = figure.axes[0]
    written = {text.get_position(): text.get_text() for text in axis.texts}
    # across a, b, c and down b, c, d
    assert written == {(0, 0): "1", (0, 1): "2", (1, 1): "-", (0, 2): "3", (1, 2): "5", (2, 2): "6"}
    assert axis.get_title() == ""
    table = np.ma.filled(axis.images[0].get_array(), np.nan)
    assert np.isnan(table[np.triu_indices(3, 1)]).all()


def test_all_panels_of_heat_maps_share_their_colours():
    results = results_of()
    means = [
        mean("distance/cosine", pair, value, target)
        for value, (target, pair) in enumerate(
            itertools.product(("x", "y"), [("teacher", "student"), ("teacher", "other")])
        )
    ]
    figure = draw_pairs(results, "distance/cosine", means)
    assert {axis.images[0].get_clim() for axis in figure.axes[:2]} == {(0.0, 3.0)}
    nothing = [{**one, "mean": None, "low": None, "high": None} for one in means]
    assert isinstance(draw_pairs(results, "distance/cosine", nothing), Figure)


def test_a_scatter_has_a_point_a_network_in_the_units_of_both_scores():
    points = [{"network": name, "x": x, "y": y} for name, x, y in (("teacher", 2.0, 0.5), ("other", 3.0, 0.7))]
    places = [
        {"target": "digits", "shots": 5, "points": points, "kendall_tau": None},
        {"target": "digits", "shots": 20, "points": points, "kendall_tau": 1.0},
    ]
    compared = {"scores": ["cost/value", "probe/value"], "targets": places}
    figure = draw_scatter(results_of(compared=[compared]), compared)
    assert [axis.get_title() for axis in figure.axes] == [
        "digits, 5 shots: no rank correlation",
        "digits, 20 shots: Kendall's tau 1.00",
    ]
    at = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in figure.axes[0].lines]
    assert at == [(2.0, 50.0), (3.0, 70.0)]
    assert (figure.axes[0].get_xscale(), figure.axes[0].get_ylabel()) == ("log", "accuracy (%)")


def test_a_new_kind_of_picture_is_one_registered_function(tmp_path, monkeypatch):
    def sparkles():
        return lambda results: {f"sparkle of {len(results['means'])}": Figure()}

    PICTURES.names()
    monkeypatch.setitem(PICTURES._builders, "sparkles", sparkles)
    assert "sparkle_of_6.png" in {path.name for path in write_study_figures(tmp_path, results_of())}


def test_results_survive_json(tmp_path):
    results = json.loads(json.dumps(results_of(shots=(5, 20))))
    assert study_tables(results) == study_tables(results_of(shots=(5, 20)))


# Many targets, groups of them, layers


def test_a_heat_map_shows_every_network_on_every_target_and_group():
    groups = {"few": ("a", "b")}
    results = results_of(targets=("a", "b", "c", "d", "few"), networks=("x", "y"), shots=(5, None))
    results |= {"targets": ["a", "b", "c", "d"], "groups": groups}
    figure = draw_heat_map(results, "probe/value", means_of(results, 1)["probe/value"])
    axes = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in axes] == ["5 shots", "all training examples"]
    assert [text.get_text() for text in axes[0].get_xticklabels()] == ["a", "b", "c", "d", "few"]
    assert axes[0].images[0].get_array().shape == (2, 5)
    assert float(axes[0].images[0].get_array()[1, 0]) == pytest.approx(51.5)
    # The line between targets and groups stands after the fourth.
    assert axes[0].lines[0].get_xdata()[0] == 3.5


def test_differences_are_white_at_zero_and_few_targets_need_no_heat_map(tmp_path):
    results = results_of(targets=("a", "b", "c", "d"))
    figure = draw_heat_map(results, "probe/value", means_of(results, 1)["probe/value"], "difference to x in ")
    norm = figure.axes[0].images[0].norm
    assert norm(0.0) == pytest.approx(0.5)
    assert "probe_targets" not in {path.stem for path in write_study_figures(tmp_path, results_of(targets=("a", "b")))}


def test_layers_stand_in_the_order_of_the_study_and_a_network_may_lack_one(tmp_path):
    results = results_of(networks=("x", "y"), layers=["block2", "block1", "embedding"])
    at = {"x": (None, "block1", "block2"), "y": (None, "block1")}
    results["means"] = [
        {**mean("probe/value", [name], 0.1 * i), "layer": layer}
        for name, layers in at.items()
        for i, layer in enumerate(layers)
    ]
    results["differences"] = []
    figure = draw_layers(results, "probe/value", results["means"])
    (axis,) = figure.axes
    assert [text.get_text() for text in axis.get_xticklabels()] == ["block2", "block1", "embedding"]
    drawn = {container.get_label(): np.array(container.lines[0].get_data(), float) for container in axis.containers}
    np.testing.assert_allclose(drawn["x"], [[0, 1, 2], [20, 10, 0]])
    np.testing.assert_allclose(drawn["y"], [[1, 2], [10, 0]])
    names = {path.stem for path in write_study_figures(tmp_path, results)}
    assert {"probe_by_layer", "probe", "probe_block1", "probe_block2"} == names
    assert "**probe@block1 on digits: accuracy (%), higher is better**" in tables_of(results)


def test_the_report_tells_data_groups_and_what_was_chosen(tmp_path):
    data = {"name": "digits", "classes": 10, "examples": {"train": 150, "test": 60}}
    data |= {"digests": {"train": "abc", "test": "def"}, "draws": []}
    results = results_of(data={"digits": data}, groups={"all": ["digits", "letters"]})
    results["means"][0]["details"] = {"C": {"median": 10.0, "low": 1.0, "high": 100.0}}
    text = write_study_report(tmp_path, results, []).read_text()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]
    assert ["digits", "digits", "10", "150", "60", "abc, def"] in cells
    assert "`all` is the mean over digits, letters." in text
    assert ["probe", "teacher", "all", "C", "10", "1", "100"] in cells


def test_many_verdicts_are_counted_and_those_on_groups_shown(tmp_path):
    place = {"measurement": "probe", "score": "value", "layer": None}
    around = {"mean": 0.1, "low": 0.05, "high": 0.15, "count": 3}
    claims = [
        {"claim": "probe: a - b > 0", **place, "target": target, "shots": shots, "verdict": verdict, **around}
        for target, verdict in (("digits", "holds"), ("letters", "fails"), ("both", "undecided"))
        for shots in range(1, 21)
    ]
    results = results_of(claims=claims, groups={"both": ["digits", "letters"]})
    text = study_tables(results)
    counted, shown = (rows_of(part) for part in text.split("\n\n")[:3:2])
    assert text.startswith("| claim")
    assert counted == [["claim", "holds", "fails", "undecided"], ["`probe: a - b > 0`", "20", "20", "20"]]
    assert len(shown) == 21
    assert {row[1].split(",")[0] for row in shown[1:]} == {"both"}
    write_study_tables(tmp_path, results)
    lines = list(csv.DictReader((tmp_path / "claims.csv").read_text().splitlines()))
    assert len(lines) == 60
    assert lines[0]["verdict"] == "holds"
    assert float(lines[0]["mean"]) == 0.1
