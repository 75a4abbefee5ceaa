"""From members to results, and what their numbers mean."""

import json

import pytest

from repcon_jax.records.results import summarise_population
from repcon_jax.records.scores import ACCURACY, Score, read_scores


def member(seed, probe, **groups):
    empty = {group: {} for group in ("train", "test", "distance")}
    return {"seed": seed, "steps": 2, "probe": {"student": {"knn": probe}}, **empty, **groups}


def test_declarations_stand_beside_the_numbers():
    scores = {"knn": ACCURACY, "kl": Score("KL to the teacher", "nats", higher_is_better=False, scale="log")}
    members = [({}, member(seed, {"value": seed / 4, "finite": True}, train={"kl": 0.5})) for seed in (0, 1)]
    results = json.loads(json.dumps(summarise_population(members, scores)))
    assert read_scores(results) == scores
    assert results["probe"]["student"]["knn"] == {
        "mean": 0.125,
        "std": pytest.approx(0.1767767),
        "values": [0.0, 0.25],
        "finite": [True, True],
    }
    points = [({"locality": value}, member(0, {"value": value, "finite": True})) for value in (0.0, 1.0)]
    results = summarise_population(points, scores)
    assert read_scores(results) == scores
    assert [point["probe"]["student"]["knn"]["mean"] for point in results["points"]] == [0.0, 1.0]


def test_members_that_an_older_version_finished_are_read():
    members = [({}, member(0, {"accuracy": 0.25, "C": 1.0})), ({}, member(1, {"value": 0.75, "C": 2.0}))]
    results = summarise_population(members, {"knn": ACCURACY})
    assert results["probe"]["student"]["knn"]["values"] == [0.25, 0.75]
    assert results["probe"]["student"]["knn"]["C"] == [1.0, 2.0]


def test_results_without_declarations_have_none():
    assert read_scores({"seeds": [0]}) == {}
