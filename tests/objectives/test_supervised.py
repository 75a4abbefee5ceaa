import jax
import jax.numpy as jnp
import numpy as np
from small_experiments import chunk_of, context_of, inputs_of, start_of, state_of, train_data, unseen

from repcon_jax.models import attach_head, create_encoder, create_head
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.training.durations import clock
from repcon_jax.training.evaluation import evaluate_dataset
from repcon_jax.training.optimisers import OptimiserConfig
from repcon_jax.training.step import Inputs

KEY = jax.random.key(0)


def supervised():
    encoder, head = create_encoder("mlp", widths=(32,)), create_head("linear", num_classes=3)
    model = attach_head(encoder, head)
    return OBJECTIVES.build("supervised", context_of(model, clock(48, 8, "30 epochs"))), model


def test_it_fits_random_labels_and_its_evaluation_agrees_with_a_direct_one():
    objective, model = supervised()
    data, time = train_data(), clock(48, 8, "30 epochs")
    state, optimiser = state_of(objective, time, OptimiserConfig("adam", learning_rate=1e-2))
    chunk = chunk_of(objective, optimiser, data, time)
    for _ in range(30):
        state, metrics = chunk(state, jnp.int32(6), KEY)
    assert float(np.mean(metrics["accuracy"])) > 0.9

    measured = evaluate_dataset(
        lambda state, *examples: objective.evaluate(inputs_of(objective, state, unseen(*examples))),
        state,
        data.images[:41],
        data.labels[:41],
        batch_size=16,
    )
    images = (np.asarray(data.images[:41]) / 255 - 0.5) / 0.25
    logits = np.asarray(model.apply(state.params, state.model_state, jnp.asarray(images, jnp.float32))[0].logits)
    correct = np.mean(logits.argmax(axis=1) == np.asarray(data.labels[:41]))
    np.testing.assert_allclose(measured["accuracy"], correct, rtol=1e-6)
    log_softmax = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = -np.mean(log_softmax[np.arange(41), np.asarray(data.labels[:41])])
    np.testing.assert_allclose(measured["loss"], expected, rtol=1e-4)


def test_only_its_encoder_is_probed_and_it_uses_labels():
    objective, _ = supervised()
    params, model_state, carried = start_of(objective)
    assert list(objective.networks(Inputs(params, model_state, carried, 0, {}))) == ["encoder"]
    assert objective.uses_labels
