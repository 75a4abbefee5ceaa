"""Means, paired differences, verdicts and correlations of rows, by hand."""

import dataclasses

import numpy as np
import pytest
from scipy import stats

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.errors import ArgumentError
from repcon_jax.figures.study import study_tables
from repcon_jax.records.intervals import interval
from repcon_jax.tasks.study.claims import parse_claim
from repcon_jax.tasks.study.config import StudyConfig
from repcon_jax.tasks.study.summary import independent, paired, summarise_study

CONFIG = StudyConfig(
    title="t",
    networks={name: f"/nowhere/{name}/0" for name in "abc"},
    measurements={"probe": "probe", "h_score": "transfer", "distance": "distance"},
    targets={"x": DataConfig("digits", options=SOURCES.options("digits"))},
    shots=(2, 5),
    draws=2,
    baseline="a",
    claims=("probe: b - a > 0", "probe: b - a < 0.05", "probe: c - a > 0.01"),
    compared=(("h_score", "probe"),),
)


def row(value, networks="a", measurement="probe/value", target="x", shots=2, seed=0, draw=0):
    measurement, score = measurement.split("/")
    return {
        **{"measurement": measurement, "score": score, "networks": list(networks), "target": target},
        **{"shots": shots, "layer": None, "seed": seed, "draw": draw, "value": value, "details": {}},
    }


def values(array):
    return {(seed, draw): array[seed][draw] for seed in range(len(array)) for draw in range(len(array[0]))}


def test_seeds_are_independent_and_draws_only_where_there_is_one_seed():
    assert independent(values([[1.0, 3.0], [5.0, 7.0], [0.0, 0.0]])) == [2.0, 6.0, 0.0]
    assert independent(values([[1.0, 3.0]])) == [1.0, 3.0]
    assert independent({(None, 0): 1.0, (None, 1): 3.0}) == [1.0, 3.0]


def test_differences_are_taken_where_seed_and_draw_agree():
    first, second = values([[1.0, 2.0], [3.0, 4.0]]), values([[0.5, 1.0], [7.0, 0.0]])
    assert paired(first, second) == {(0, 0): 0.5, (0, 1): 1.0, (1, 0): -4.0, (1, 1): 4.0}
    del second[1, 0]
    assert paired(first, second) == {(0, 0): 0.5, (0, 1): 1.0, (1, 1): 4.0}
    assert paired(first, {(4, 0): 1.0}) == {}


def test_what_has_no_seed_stands_beside_every_seed():
    first, single = values([[1.0, 2.0], [3.0, 4.0]]), {(None, 0): 1.0, (None, 1): 10.0}
    assert paired(first, single) == {(0, 0): 0.0, (0, 1): -8.0, (1, 0): 2.0, (1, 1): -6.0}
    assert paired(single, first) == {place: -value for place, value in paired(first, single).items()}
    assert paired(single, single) == {(None, 0): 0.0, (None, 1): 0.0}


@pytest.fixture(scope="module")
def summary():
    """Three networks, three seeds, two draws, two numbers of shots; c lacks the second number of shots."""
    rng = np.random.default_rng(0)
    noise = {(seed, draw): rng.normal(0, 0.1) for seed in range(3) for draw in range(2)}
    rows = []
    for i, network in enumerate("abc"):
        for shots in (2, 5) if network != "c" else (2,):
            for (seed, draw), common in noise.items():
                value = 0.5 + common + 0.1 * (network == "b") + 0.001 * rng.normal()
                rows.append(row(value, network, shots=shots, seed=seed, draw=draw))
                rows.append(row(float(i), network, "h_score/score", shots=shots, seed=seed, draw=draw))
    rows += [row(1.0, "ab", "distance/euclidean", target=None, shots=None, seed=seed) for seed in range(3)]
    return summarise_study(CONFIG, rows), rows


def test_pairing_removes_what_seeds_and_draws_have_in_common(summary):
    results, rows = summary
    (difference,) = (
        one for one in results["differences"] if (one["network"], one["measurement"], one["shots"]) == ("b", "probe", 2)
    )
    table = {
        (one["networks"][0], one["seed"], one["draw"]): one["value"]
        for one in rows
        if (one["measurement"], one["shots"]) == ("probe", 2)
    }
    by_hand = [np.mean([table["b", seed, draw] - table["a", seed, draw] for draw in (0, 1)]) for seed in range(3)]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(by_hand), scale=stats.sem(by_hand))
    assert (difference["mean"], difference["low"], difference["high"], difference["count"]) == (
        pytest.approx(np.mean(by_hand)),
        pytest.approx(low),
        pytest.approx(high),
        3,
    )
    (alone,) = (
        one for one in results["means"] if one["networks"] == ["b"] and one["score"] == "value" and one["shots"] == 2
    )
    assert alone["high"] - alone["low"] > 10 * (high - low)


def test_every_claim_is_judged_wherever_both_networks_were_measured(summary):
    results, _ = summary
    verdicts = {(one["claim"], one["target"], one["shots"]): one["verdict"] for one in results["claims"]}
    assert verdicts == {
        ("probe: b - a > 0", "x", 2): "holds",
        ("probe: b - a > 0", "x", 5): "holds",
        ("probe: b - a < 0.05", "x", 2): "fails",
        ("probe: b - a < 0.05", "x", 5): "fails",
        ("probe: c - a > 0.01", "x", 2): "fails",
    }


def test_means_of_pairs_and_single_networks_stand_beside_their_values(summary):
    results, _ = summary
    assert len(results["means"]) == 5 + 5 + 1
    for mean in results["means"]:
        assert len(mean["values"]) == (3 if mean["measurement"] == "distance" else 6)
        by_seed = [np.mean([v["value"] for v in mean["values"] if v["seed"] == seed]) for seed in range(3)]
        assert mean["mean"] == pytest.approx(interval(by_seed)["mean"])
    assert {one["network"] for one in results["differences"]} == {"b", "c"}


def test_two_scores_are_compared_network_by_network(summary):
    results, _ = summary
    (compared,) = results["compared"]
    assert compared["scores"] == ["h_score/score", "probe/value"]
    few, many = compared["targets"]
    assert [point["x"] for point in few["points"]] == [0.0, 1.0, 2.0]
    y = [point["y"] for point in few["points"]]
    assert few["kendall_tau"] == pytest.approx(stats.kendalltau([0, 1, 2], y).statistic)
    assert [point["network"] for point in many["points"]] == ["a", "b"]
    assert many["kendall_tau"] is None


def test_a_score_without_shots_or_target_is_compared_with_one_for_each():
    rows = [row(float(i), name, "h_score/score", target=None, shots=None) for i, name in enumerate("abc")]
    rows += [row(i / 10, name, shots=shots) for i, name in enumerate("abc") for shots in (2, 5)]
    (compared,) = summarise_study(CONFIG, rows)["compared"]
    assert [(place["target"], place["shots"], place["kendall_tau"]) for place in compared["targets"]] == [
        ("x", 2, pytest.approx(1.0)),
        ("x", 5, pytest.approx(1.0)),
    ]


def test_values_that_are_not_finite_decide_nothing():
    rows = [row(None if (name, seed) == ("b", 1) else 0.5, name, seed=seed) for name in "abc" for seed in range(2)]
    results = summarise_study(dataclasses.replace(CONFIG, compared=()), rows)
    by_network = {one["networks"][0]: one for one in results["means"]}
    assert by_network["b"]["mean"] is None
    assert by_network["b"]["values"][1]["value"] is None
    assert by_network["a"]["mean"] == 0.5
    assert {one["claim"]: one["verdict"] for one in results["claims"]} == {
        "probe: b - a > 0": "undecided",
        "probe: b - a < 0.05": "undecided",
        "probe: c - a > 0.01": "fails",
    }


def test_a_claim_about_what_was_measured_nowhere_is_undecided():
    results = summarise_study(CONFIG, [row(0.5, "a"), row(0.6, "b")])
    claim = results["claims"][2]
    assert (claim["claim"], claim["verdict"], claim["count"]) == ("probe: c - a > 0.01", "undecided", 0)
    assert "not measured" in study_tables(results)


NETWORKS, SCORES = ("vgg-11", "a.b", "1"), ("probe/value", "distance/cosine", "distance/norm", "p-1/value")


@pytest.mark.parametrize(
    ("text", "claim"),
    [
        ("probe: vgg-11 - a.b > 0", ("probe/value", "vgg-11", "a.b", ">", 0.0)),
        (" distance:1 - vgg-11<-.5 ", ("distance/cosine", "1", "vgg-11", "<", -0.5)),
        ("distance/norm : a.b - 1 > 1e-3", ("distance/norm", "a.b", "1", ">", 0.001)),
        ("p-1: a.b - 1 < +2.", ("p-1/value", "a.b", "1", "<", 2.0)),
    ],
)
def test_a_claim_is_read(text, claim):
    assert dataclasses.astuple(parse_claim(text, NETWORKS, SCORES)) == claim


def test_the_only_measurement_need_not_be_named():
    assert parse_claim("1 - a.b > 0", NETWORKS, ["distance/cosine", "distance/norm"]).score == "distance/cosine"


@pytest.mark.parametrize(
    "text", ["", "probe", "probe: 1 > 0", "probe: 1 - a.b", "probe: 1 - a.b >= 0", "probe: 1 - a.b > x"]
)
def test_what_is_no_claim_is_told_how_one_reads(text):
    with pytest.raises(ArgumentError, match="a claim reads 'MEASUREMENT: FIRST - SECOND > NUMBER'"):
        parse_claim(text, NETWORKS, SCORES)
