"""Pictures and tables of runs read what was declared, and nothing from names."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pytest

from repcon_jax.figures import probes_in_words, results_table, write_figures, write_report
from repcon_jax.figures.curves import probing_figure
from repcon_jax.figures.populations import point_figure
from repcon_jax.records.results import summarise_population
from repcon_jax.records.scores import ACCURACY, Score

R2 = Score("R^2", higher_is_better=True, about="a regression of the labels")
KL = Score("KL of student from teacher", "nats", higher_is_better=False, scale="log")
CONFIG = {"title": "t", "encoder": {"name": "mlp"}, "data": {"name": "digits"}, "batch_size": 8}


def member(seed, **values):
    probe = {"student": {name: {"value": value, "finite": True} for name, value in values.items()}}
    groups = {"train": {"divergence": 0.25}, "test": {}, "distance": {"way": 2.0}}
    return {"seed": seed, "steps": 2, "probe": probe, **groups}


def results_of(scores, **values):
    return summarise_population([({}, member(seed, **values)) for seed in (0, 1)], scores)


@pytest.fixture
def drawn(tmp_path):
    """Draws and reports a run: names of the pictures, and the report."""

    def draw(results, rows):
        (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        about = {"commit": "c", "packages": {"jax": "1"}, "python": "3", "devices": ["cpu"], "cpu_count": 1}
        (tmp_path / "environment.json").write_text(json.dumps({**about, "starts": [{"command": "python"}]}))
        (tmp_path / "results.json").write_text(json.dumps(results))
        names = {path.stem for path in write_figures(tmp_path, results)}
        return names, write_report(tmp_path, CONFIG, results).read_text()

    yield draw
    assert not plt.get_fignums()


def row(kind, step, **values):
    return {"kind": kind, "seed": 0, "step": step, "epoch": float(step), **values}


def test_a_table_shows_every_probe_in_its_unit():
    table = results_table(results_of({"a": ACCURACY, "b": ACCURACY}, a=0.5, b=0.25))
    assert table.splitlines()[0].split() == ["|", "representation", "|", "a", "|", "b", "|"]
    assert "50.00 ± 0.00" in table
    mixed = results_of({"a": ACCURACY, "b": R2}, a=0.5, b=0.25)
    assert "b: R^2" in results_table(mixed)
    assert "0.25 ± 0" in results_table(mixed)
    assert probes_in_words(mixed) == "Test accuracy in percent and R^2"


def test_results_of_older_versions_hold_accuracies():
    results = results_of({}, a=0.5)
    del results["scores"]
    assert "50.00 ± 0.00" in results_table(results)
    assert probes_in_words(results) == "Test accuracy in percent"


def test_a_run_without_probes_has_no_table():
    results = summarise_population([({}, {**member(0), "probe": {}})], {})
    assert results_table(results) == "No probes were asked for."
    assert probes_in_words(results) == ""


def test_a_report_says_how_each_probe_measures(drawn):
    names, report = drawn(
        results_of({"a": ACCURACY, "b": R2, "divergence": KL}, a=0.5, b=0.25),
        [row("train", step, divergence=1.0, way=2.0) for step in (0, 1)],
    )
    assert names == {"objective", "distance"}
    assert "- `b`: a regression of the labels." in report
    assert "- `a`" not in report


def test_axes_are_those_that_were_declared():
    rows = [row("train", step, divergence=10.0**step, undeclared=1.0) for step in (0, 1)]
    figure = point_figure(rows, "train", [{}], {"divergence": KL, "absent": KL})
    (panel,) = figure.axes
    assert panel.get_title() == "KL of student from teacher (nats)"
    assert panel.get_yscale() == "log"
    np.testing.assert_allclose(panel.lines[0].get_ydata(), [1, 10])
    plt.close(figure)


def test_fractions_are_drawn_in_percent_and_other_numbers_as_they_are():
    results = results_of({"a": ACCURACY, "b": R2}, a=0.5, b=0.25)
    rows = [row("probe", step, **{"student/a": 0.125, "student/b": 0.5}) for step in (0, 1)]
    figure = probing_figure(rows, results["probe"], {"a": ACCURACY, "b": R2})
    assert [axis.get_ylabel() for axis in figure.axes] == ["accuracy (%)", "R^2"]
    assert [axis.lines[0].get_ydata()[0] for axis in figure.axes] == [12.5, 0.5]
    plt.close(figure)


def test_a_population_shows_the_encoders_that_train():
    from repcon_jax.figures import curves

    points = [({"locality": value}, member(0, a=value)) for value in (0.0, 1.0)]
    results = summarise_population(points, {"a": ACCURACY})
    rows = [
        row("probe", step, locality=value, **{"fixed/a": value, "student/a": value / (1 + step)})
        for value in (0.0, 1.0)
        for step in (0, 1)
    ]
    figures = curves._figures(rows, results)
    assert [axis.get_title() for axis in figures["probing"].axes] == ["student/a, accuracy (%)"]
    assert [axis.get_ylabel() for axis in figures["population"].axes] == ["accuracy (%)"]
    plt.close("all")
