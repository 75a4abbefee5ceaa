"""Metrics at points are those of direct evaluation, wherever and however many at once they are computed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax import losses
from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.landscape import linear_path, plane_through
from repcon_jax.landscape.evaluation import Evaluation, LandscapeData, Split, calibration_batches
from repcon_jax.landscape.metric import METRICS, build_metric, scores_of
from repcon_jax.landscape.surfaces import barycentric, on_path, on_plane, states_for
from repcon_jax.models import Network, Pixels, attach_head, create_encoder, create_head, normalise
from repcon_jax.models.recalibration import recalibrate
from repcon_jax.probing import run_probes
from repcon_jax.random import stream
from repcon_jax.records.scores import Score
from repcon_jax.trees import combine, norm

MEAN, STD = jnp.array([0.4]), jnp.array([0.3])
PIXELS = Pixels(tuple(MEAN.tolist()), tuple(STD.tolist()))
TEXTS = (
    "kl_divergence",
    "cross_entropy",
    "mean_squared_error",
    "embedding_kl_divergence",
    "supervised_loss",
    "error",
    "linear(epochs=2, batch_size=8)",
    "knn(neighbours=3, standardise=True)",
    "norm",
    "norm(part='head')",
)


def model_of(normalisation="none"):
    encoder = create_encoder("mlp", widths=(6, 5), normalisation=normalisation)
    return attach_head(encoder, create_head("linear", num_classes=3))


def network(model, seed):
    params, state = jax.jit(model.init)(jax.random.key(seed), jnp.zeros((1, 4, 4, 1)))
    draw = np.random.default_rng(seed).uniform
    return params, jax.tree.map(lambda leaf: leaf + draw(0, 0.2, leaf.shape).astype(np.float32), state)


def data_of(reference=None, num_examples=22):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (num_examples, 4, 4, 1)).astype(np.uint8)
    labels = jnp.asarray(random.integers(0, 3, num_examples), jnp.int32)
    parts = {"train": Split(jnp.asarray(images), labels), "test": Split(jnp.asarray(images[:9]), labels[:9])}
    calibration = calibration_batches(images, 16, 8, jax.random.key(1))
    return LandscapeData(parts, calibration, reference, jax.random.key(2))


def evaluation_of(model, locate, texts=TEXTS, **options):
    metrics = tuple((text, build_metric(text)) for text in texts)
    return Evaluation(
        model, PIXELS, locate, metrics, num_classes=3, batch_size=8, measured_on=("train", "test"), **options
    )


@pytest.fixture(scope="module")
def measured():
    """A path of three points between two networks without batch norm, the last batch incomplete."""
    model = model_of()
    ends = [network(model, seed) for seed in (0, 1)]
    data = data_of(reference=Network(*ends[0], model, PIXELS))
    surface = linear_path(ends[0][0], ends[1][0]), (ends[0][1],)
    evaluation = evaluation_of(model, on_path)
    values = jax.jit(evaluation.evaluate)(surface, data, jnp.array([[0.0], [0.5], [1.0]]))
    return model, ends, data, surface, evaluation, values


@pytest.mark.slow
def test_the_ends_of_a_path_equal_direct_evaluation(measured):
    model, ends, data, _, _, values = measured
    apply = jax.jit(lambda params, state, images: model.apply(params, state, images)[0])
    for end, (params, state) in zip((0, 2), ends, strict=True):
        outputs = {}
        for part, split in data.splits.items():
            images = normalise(split.images, MEAN, STD)
            reference, outputs[part] = (apply(*at, images) for at in (ends[0], (params, state)))
            logits = outputs[part].logits
            expected = {
                "kl_divergence": losses.kl_divergence(reference.logits, logits),
                "cross_entropy": losses.cross_entropy(reference.logits, logits),
                "mean_squared_error": losses.mean_squared_error(reference.logits, logits),
                "embedding_kl_divergence": losses.kl_divergence(reference.embedding, outputs[part].embedding),
                "supervised_loss": losses.softmax_cross_entropy_with_labels(logits, split.labels),
                "error": 1 - losses.accuracy(logits, split.labels),
            }
            for name, value in expected.items():
                np.testing.assert_allclose(values[f"{part}/{name}"][end], value, rtol=2e-5, atol=1e-7)
        assert values["norm"][end] == norm(params)
        assert values["norm(part='head')"][end] == norm(params["head"])
        probes = TEXTS[6:8]
        pairs = [(outputs[p].embedding, data.splits[p].labels) for p in ("train", "test")]
        scores = {}
        for text in probes:
            probe = build_metric(text).probe.fit_and_score
            scores[text] = probe(*pairs[0], *pairs[1], 3, stream(data.key, "probe"))[0]
            assert values[text][end] == pytest.approx(float(scores[text]), abs=1e-6)
    assert values["train/kl_divergence"][0] == 0
    assert values["train/kl_divergence"][2] > 0


def test_every_metric_is_among_those_compared_and_probes_are_metrics_too(measured):
    *_, values = measured
    measured_names = {text.partition("(")[0] for text in TEXTS}
    assert set(METRICS.names()) <= measured_names
    assert len(values) == 6 * 2 + 4


def test_points_at_once_one_by_one_and_in_part_agree(measured):
    model, _, data, surface, *_ = measured
    evaluation = evaluation_of(model, on_path, ("kl_divergence", "error", "knn(neighbours=3)", "norm"))
    t = jnp.linspace(0, 1, 5)[:, None]
    one_by_one = jax.jit(evaluation.evaluate)(surface, data, t)
    for count in (2, 5):
        at_once = jax.jit(dataclasses.replace(evaluation, vectorised=count).evaluate)(surface, data, t)
        for name, column in one_by_one.items():
            np.testing.assert_allclose(at_once[name], column, rtol=1e-4, atol=2e-7, err_msg=name)


def test_recalibrated_statistics_are_those_of_the_batches():
    model = model_of("batch")
    params, state = network(model, 0)
    pixels = data_of().calibration
    batches = normalise(pixels, MEAN, STD)
    given = Network(params, state, model, PIXELS)
    calibrated = jax.jit(recalibrate)(given, pixels)
    # One hidden layer's input is linear in the pixels, so its statistics are known in closed form.
    inputs = batches.reshape(2, 8, -1) @ params["encoder"]["linear1"]["kernel"] + params["encoder"]["linear1"]["bias"]
    expected = [np.mean(np.mean(inputs, 1), 0), np.mean(np.var(inputs, 1, ddof=1), 0)]
    first = calibrated.model_state["encoder"]["norm1"]
    np.testing.assert_allclose(first["mean"], expected[0], atol=1e-5)
    np.testing.assert_allclose(first["var"], expected[1], rtol=1e-4)
    assert calibrated.params["encoder"].keys() == params["encoder"].keys()
    again = jax.jit(recalibrate)(given.replace(model_state=jax.tree.map(lambda leaf: leaf + 1, state)), pixels)
    jax.tree.map(np.testing.assert_array_equal, again.model_state, calibrated.model_state)
    without = given.replace(model_state={"encoder": {}})
    assert recalibrate(without, pixels) is without


@pytest.mark.parametrize("choice", ["recalibrated", "interpolated", "first"])
def test_batch_norm_statistics_are_what_the_option_says(choice):
    model = model_of("batch")
    networks = [network(model, seed) for seed in range(3)]
    plane = plane_through(*(params for params, _ in networks))
    data = data_of()
    surface = plane, states_for(choice, [state for _, state in networks])
    evaluation = evaluation_of(model, on_plane, ("supervised_loss",), batch_norm=choice)
    middle = plane.anchors.mean(0)
    loss = jax.jit(evaluation.evaluate)(surface, data, middle[None])["train/supervised_loss"][0]
    params, mean_state = (combine([n[i] for n in networks], [1 / 3] * 3) for i in range(2))
    mean_network = Network(params, mean_state, model, PIXELS)
    state = {
        "recalibrated": recalibrate(mean_network, data.calibration).model_state,
        "interpolated": mean_state,
        "first": networks[0][1],
    }[choice]
    images = normalise(data.splits["train"].images, MEAN, STD)
    logits = model.apply(params, state, images)[0].logits
    labels = data.splits["train"].labels
    np.testing.assert_allclose(loss, losses.softmax_cross_entropy_with_labels(logits, labels), rtol=1e-4)


def test_barycentric_weights_add_up_and_give_back_the_corners():
    corners = jnp.array([[0.3, -1.0], [2.0, 0.5], [-0.7, 4.0]])
    weights = jax.vmap(barycentric, (None, 0))(corners, corners)
    np.testing.assert_allclose(weights, np.eye(3), atol=1e-6)
    at = jnp.array([0.2, 0.9])
    np.testing.assert_allclose(barycentric(corners, at) @ corners, at, atol=1e-6)


@pytest.mark.parametrize(
    ("text", "reference", "message"),
    [
        ("error", True, "metrics has 'error', which needs labels, but the data has none"),
        ("knn", True, "metrics has 'knn', which needs labels"),
        ("kl_divergence", False, "metrics has 'kl_divergence', which compares with a reference network"),
    ],
)
def test_a_metric_whose_needs_are_not_met_is_refused(text, reference, message):
    model = model_of()
    ends = [network(model, seed) for seed in (0, 1)]
    data = data_of(reference=Network(*ends[0], model, PIXELS) if reference else None)
    data = data.replace(splits={name: part.replace(labels=None) for name, part in data.splits.items()})
    evaluation = evaluation_of(model, on_path, (text,))
    with pytest.raises(ArgumentError, match=message):
        evaluation.evaluate((linear_path(ends[0][0], ends[1][0]), (ends[0][1],)), data, jnp.zeros((1, 1)))


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'kl_divergence'"):
        build_metric("kl_divergenc")


def test_probes_in_a_landscape_score_what_the_suite_scores():
    random = np.random.default_rng(3)
    features, labels = random.normal(size=(30, 4)).astype(np.float32), random.integers(0, 3, 30).astype(np.int32)
    key = jax.random.key(0)
    suite = run_probes(("knn(neighbours=3)",), features, labels, features[:7], labels[:7], 3, key)
    features, labels = jnp.asarray(features), jnp.asarray(labels)
    accuracy = build_metric("knn(neighbours=3)").probe.fit_and_score(
        features, labels, features[:7], labels[:7], 3, key
    )[0]
    assert suite["knn(neighbours=3)"]["value"] == float(accuracy)


def test_a_reference_of_another_architecture_size_and_statistics_sees_the_same_images():
    model = model_of()
    ends = [network(model, seed) for seed in (0, 1)]
    encoder = create_encoder("convnet", width=0.125, num_stages=2)
    other = attach_head(encoder, create_head("linear", num_classes=3))
    pixels = Pixels((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), (8, 8))
    reference = Network(*jax.jit(other.init)(jax.random.key(3), jnp.zeros((1, 8, 8, 3))), other, pixels)
    data = data_of(reference=reference)
    evaluation = evaluation_of(model, on_path, ("kl_divergence", "mean_squared_error"))
    surface = linear_path(ends[0][0], ends[1][0]), (ends[0][1],)
    values = jax.jit(evaluation.evaluate)(surface, data, jnp.array([[1.0]]))
    images = data.splits["test"].images
    logits = Network(*ends[1], model, PIXELS).apply(images)[0].logits
    # What the reference sees: grey in three channels, enlarged, with its own statistics.
    seen = jax.image.resize(jnp.repeat(images / 255, 3, axis=-1), (9, 8, 8, 3), "linear")
    seen = (seen - jnp.array(pixels.mean)) / jnp.array(pixels.std)
    compared = other.apply(reference.params, reference.model_state, seen)[0].logits
    expected = {"kl_divergence": losses.kl_divergence, "mean_squared_error": losses.mean_squared_error}
    for name, distance in expected.items():
        np.testing.assert_allclose(values[f"test/{name}"][0], distance(compared, logits), rtol=1e-4)


def test_outputs_of_another_size_than_the_references_are_refused():
    model = model_of()
    ends = [network(model, seed) for seed in (0, 1)]
    other = attach_head(create_encoder("mlp", widths=(4,)), create_head("linear", num_classes=1))
    reference = Network(*other.init(jax.random.key(0), jnp.zeros((1, 4, 4, 1))), other, PIXELS)
    surface = linear_path(ends[0][0], ends[1][0]), (ends[0][1],)
    for metric, sizes in {
        "kl_divergence": "logits of size 1 where the network's size is 3",
        "embedding_kl_divergence": "an embedding of size 4 where the network's size is 5",
    }.items():
        with pytest.raises(ArgumentError, match=f"reference has {sizes}"):
            evaluation_of(model, on_path, (metric,)).evaluate(surface, data_of(reference), jnp.zeros((1, 1)))


def test_every_value_in_the_results_has_a_declaration_and_no_two_have_one_label(measured):
    *_, values = measured
    scores = scores_of(TEXTS, ("train", "test"))
    assert scores.keys() == values.keys()
    assert len({score.label for score in scores.values()}) == len(scores)
    assert scores["test/error"] == Score("test error", "fraction", higher_is_better=False)
    assert scores["train/kl_divergence"] == Score("train KL divergence", "nats", False, "log")
    assert scores[TEXTS[7]].label == "knn accuracy, neighbours=3, standardise=True"
    assert scores[TEXTS[7]].unit == "fraction"
    assert scores["norm(part='head')"].higher_is_better is None
