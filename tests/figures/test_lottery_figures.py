"""Kinds of study register how they are shown."""

import pathlib

import matplotlib.pyplot as plt
import pytest

from repcon_jax.figures.lottery import lottery_table, write_lottery_figures
from repcon_jax.figures.lottery.kind import KINDS, Kind, ticket_cells
from repcon_jax.records.scores import Score, plain_scores


def spread(mean):
    return {"mean": mean, "std": 0.01, "values": [mean]}


def entry(density, **values):
    return {"chain": "a", "round": 1, "density": [density], **values}


def results_of(**studies):
    rounds = [
        {
            "density": [density],
            "accuracy": spread(density / 2),
            "layers": {"dense/kernel": density},
            "curve": {"step": [1, 2], "accuracy": [0.1, 0.2]},
        }
        for density in (1.0, 0.5)
    ]
    about = {"kind": "lottery", "title": "t", "seeds": [0], "measured_on": "test", "labels": {"a": "chain a"}}
    return {**about, "chains": {"a": rounds}, "studies": studies}


@pytest.fixture
def sparkle(monkeypatch):
    """A kind as a study's own file would register it."""

    def rows(results, studies):
        return [["chain", "weights remaining (%)", "sparkle"], *ticket_cells(results, studies, lambda e: [str(e["s"])])]

    def draw(results, studies):
        figure, axis = plt.subplots()
        axis.plot([e["s"] for entries in studies.values() for e in entries])
        return figure

    KINDS.names()
    monkeypatch.setitem(KINDS._builders, "sparkle", lambda: Kind(rows, draw, "sparkling"))


def test_a_study_brings_its_table_and_figure(sparkle, tmp_path):
    results = results_of(mine={"kind": "sparkle", "entries": [entry(0.5, s=7)]})
    assert lottery_table(results).splitlines()[-1].split() == ["|", "chain", "a", "|", "50.00", "|", "7", "|"]
    names = {path.stem for path in write_lottery_figures(tmp_path, results)}
    assert names == {"accuracy", "layers", "training", "sparkling"}


def test_a_kind_that_nobody_registered_has_a_table_of_its_numbers(tmp_path: pathlib.Path):
    study = {
        "kind": "unheard_of",
        "entries": [entry(0.5, share=spread(0.25), size=3, note={"not": "a number"}, nothing=None)],
        "scores": plain_scores({"share": Score("share", "fraction")}),
    }
    last = lottery_table(results_of(mine=study)).splitlines()[-1]
    assert [cell.strip() for cell in last.strip("|").split("|")] == ["mine", "chain a", "50.00", "25.00 ± 1.00", "3"]
    assert len(write_lottery_figures(tmp_path, results_of(mine=study))) == 3


def test_studies_are_shown_in_the_order_of_the_config_and_empty_ones_are_not():
    studies = {
        "transfer(data='x')": {"kind": "transfer", "entries": [entry(0.5, accuracy=spread(0.3))]},
        "agreement": {"kind": "agreement", "entries": []},
        "random_mask": {"kind": "accuracy", "entries": [entry(0.5, accuracy=spread(0.2))]},
    }
    table = lottery_table(results_of(**studies))
    assert table.index("transfer") < table.index("random_mask")
    assert "masks alike" not in table
    assert "30.00 ± 1.00" in table


def test_old_results_hold_accuracies_and_new_ones_what_they_declare():
    assert "25.00 ± 1.00" in lottery_table(results_of())
    declared = {**results_of(), "scores": plain_scores({"accuracy": Score("kappa")})}
    assert "0.25 ± 0.01" in lottery_table(declared)
