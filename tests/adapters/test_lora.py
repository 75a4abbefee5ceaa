"""Low-rank adapters: nothing at first, then a change of low rank of what the small parameters say alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_experiments import same_bits
from tiny_runs import CONVNET, DIGITS, FROZEN_BACKBONE, LORA, advance, checkpoint_of, config_of, first_state

from repcon_jax.adapters import ADAPTERS, adapt, has_backbone
from repcon_jax.errors import ArgumentError, ConfigError
from repcon_jax.models import create_encoder, parameter_count
from repcon_jax.run.experiment import build_experiment
from repcon_jax.trees import named_leaves

KEY = jax.random.key(0)
ENCODERS = {
    "vit_tiny": ({"depth": 2, "patch_size": 8}, {"rank": 3}, 2),
    "convnet": ({"width": 0.05, "num_stages": 2, "convolution": "xla"}, {"rank": 2, "kernels": "kernel$"}, 2),
    "mlp": ({"widths": (8, 6), "normalisation": "batch"}, {"rank": 2, "kernels": "linear1/kernel"}, 1),
}


def adapted(name):
    options, of_adapter, count = ENCODERS[name]
    encoder, adapter = create_encoder(name, **options), ADAPTERS.build("lora", **of_adapter)
    return encoder, adapter, adapt(encoder, adapter), count


def images_of(size=16):
    return jax.random.uniform(KEY, (4, size, size, 3))


@pytest.mark.slow
@pytest.mark.parametrize("name", ENCODERS)
def test_it_starts_as_the_identity_to_the_bit(name):
    encoder, _, model, count = adapted(name)
    images = images_of()
    params, state = model.init(KEY, images)
    plain, plain_state = encoder.init(KEY, images)
    assert has_backbone(params)
    assert not has_backbone(plain)
    assert same_bits(params["backbone"], plain)
    assert len(params["adapter"]) == count
    for train in (False, True):
        output, after = model.apply(params, state, images, train)
        expected, expected_after = encoder.apply(plain, plain_state, images, train)
        assert same_bits(output, expected)
        assert same_bits(after["backbone"], expected_after)
    features, plain_features = (
        m.apply(p, s, images, False, True)[2] for m, p, s in ((model, params, state), (encoder, plain, plain_state))
    )
    assert list(features) == list(plain_features)


@pytest.mark.parametrize("name", ENCODERS)
def test_the_change_of_a_kernel_has_the_rank_and_the_merged_encoder_computes_the_same(name):
    encoder, adapter, model, _ = adapted(name)
    params, state = model.init(KEY, images_of())
    small = jax.tree.map(lambda leaf: jax.random.normal(KEY, leaf.shape), params["adapter"])
    merged = adapter.merge(params["backbone"], small)
    assert jax.tree.structure(merged) == jax.tree.structure(params["backbone"])
    before, after = named_leaves(params["backbone"]), named_leaves(merged)
    for path, kernel in before.items():
        change = np.asarray(after[path] - kernel, np.float64)
        if path not in small:
            assert not change.any()
            continue
        change = change.reshape(-1, change.shape[-1])
        assert np.linalg.matrix_rank(change, tol=1e-3) == adapter.rank
        expected = adapter.alpha / adapter.rank * np.asarray(small[path]["down"]) @ np.asarray(small[path]["up"])
        np.testing.assert_allclose(change, expected, rtol=1e-3, atol=1e-4)
    output, _ = model.apply({"backbone": params["backbone"], "adapter": small}, state, images_of())
    assert same_bits(output, encoder.apply(merged, state["backbone"], images_of())[0])
    assert not same_bits(output, model.apply(params, state, images_of())[0])


def test_there_is_little_to_train():
    _, _, model, _ = adapted("vit_tiny")
    params, _ = model.init(KEY, images_of())
    size = params["backbone"]["block1"]["attention"]["query_key_value"]["kernel"].shape
    assert parameter_count(params["adapter"]) == 2 * 3 * (size[0] + size[1])


@pytest.mark.slow
def test_only_the_small_parameters_change_while_training():
    config = config_of(adapter=LORA, optimiser={"name": "adamw", "learning_rate": 0.05, "rules": FROZEN_BACKBONE})
    experiment = build_experiment(config)
    begin = first_state(experiment)
    state, metrics, program = advance(experiment, 6)
    end = program.member(state, 0, 0)
    assert same_bits(end.params["encoder"]["backbone"], begin.params["encoder"]["backbone"])
    moved = jax.tree.map(
        lambda a, b: bool((a != b).any()), end.params["encoder"]["adapter"], begin.params["encoder"]["adapter"]
    )
    assert all(jax.tree.leaves(moved))
    assert metrics["kl"][0, 0, -1] < metrics["kl"][0, 0, 0]
    assert not [path for path in named_leaves(end.opt_state) if "backbone" in path]


@pytest.mark.parametrize("encoder", [{"name": "mlp", "widths": (8,), "normalisation": "batch"}, CONVNET])
def test_a_backbone_comes_from_the_checkpoint_of_an_encoder_without_adapter(tmp_path, encoder):
    plain = {"encoder": encoder, "head": {"name": "linear"}, "objective": {"name": "supervised"}, "data": DIGITS}
    path, networks = checkpoint_of(tmp_path / "plain", config_of(**plain, seed=3))
    objective = {"name": "supervised", "start": "checkpoint", "checkpoint": path}
    changes = {**plain, "objective": objective, "adapter": {**LORA, "kernels": "kernel$"}}
    own, adapted_networks = checkpoint_of(tmp_path / "adapted", config_of(**changes))
    network = adapted_networks["params"]
    assert same_bits(network.params["encoder"]["backbone"], networks["params"].params["encoder"])
    images = jax.random.uniform(KEY, (3, 8, 8, 1))
    assert same_bits(network.encoder.apply(images)[0], networks["params"].encoder.apply(images)[0])
    # An adapted one can be gone on with, too.
    again = first_state(build_experiment(config_of(**changes | {"objective": {**objective, "checkpoint": own}})))
    assert same_bits(again.params["encoder"], network.params["encoder"])


def test_what_does_not_fit_is_named():
    encoder = create_encoder("mlp", widths=(8,))
    with pytest.raises(
        ArgumentError, match=r"^kernels is 'norm/scale', which finds none of linear1/bias, linear1/kernel"
    ):
        adapt(encoder, ADAPTERS.build("lora", kernels="norm/scale")).init(KEY, jnp.zeros((1, 4, 4, 1)))
    with pytest.raises(ConfigError, match=r"^adapter\.rank is 0 but must lie in \[1"):
        ADAPTERS.build("lora", rank=0)
