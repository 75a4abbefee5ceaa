"""A stranger's encoder in one file, with its own declaration, is permuted, matched, pruned and made smaller."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from repcon_jax.lottery import build_structure, full_mask, prunable, remove_dead_units, with_any_widths
from repcon_jax.merging import match_weights
from repcon_jax.models import (
    ENCODERS,
    Architecture,
    Blocks,
    Layer,
    attach_head,
    create_encoder,
    create_head,
    from_linen,
)
from repcon_jax.symmetry import apply_permutation, permutation_spec, random_permutation
from repcon_jax.trees import map_named

KERNEL = (3, 3)


class Stranger(nn.Module):
    """A residual stream, a batch norm of another name, channels flattened first, tanh and swish: no family of ours."""

    width: int

    @nn.compact
    def __call__(self, images, train):
        x = nn.swish(nn.Conv(self.width, KERNEL, name="eyes")(images))
        inside = nn.swish(nn.Conv(self.width + 1, KERNEL, name="there")(x))
        x = x + jnp.tanh(nn.Conv(self.width, KERNEL, name="back")(inside))
        x = nn.Conv(2 * self.width, KERNEL, 2, use_bias=False, name="down")(x)
        x = nn.BatchNorm(use_running_average=not train, name="calm")(x)
        flat = nn.relu(x).transpose(0, 3, 1, 2).reshape(len(x), -1)
        gain = self.param("gain", nn.initializers.ones, (self.width,))
        embedding = gain * jnp.tanh(nn.Dense(self.width, name="mind")(flat))
        return embedding, {"embedding": embedding}


def declaration(pixels):
    return Architecture(
        layers=(
            Layer("eyes", None, "eyes", activation=nn.swish),
            Layer("there", "eyes", "there", activation=nn.swish),
            Layer("back", "there", "eyes", activation=jnp.tanh),
            Layer("down", "eyes", "down", norm="calm", normalisation="batch", activation=nn.relu),
            Layer("mind", Blocks("down", inner=pixels), "mind", activation=jnp.tanh),
        ),
        embedding="mind",
        other_axes=(("gain", ("mind",)),),
    )


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    ENCODERS.names()
    monkeypatch.setattr(ENCODERS, "_builders", dict(ENCODERS._builders))

    @ENCODERS.register("stranger")
    def stranger(*, width: int = 6):
        return from_linen(Stranger(width), declaration(pixels=4 * 4))


def noisy(name, leaf):
    draw = np.random.default_rng(len(name)).uniform(0.1, 0.9, leaf.shape)
    return leaf + jnp.asarray(draw, leaf.dtype)


def network(head="linear", **options):
    model = attach_head(create_encoder("stranger"), create_head(head, **options))
    images = jax.random.normal(jax.random.key(0), (5, 8, 8, 3))
    params, state = jax.jit(model.init)(jax.random.key(1), images)
    return model, map_named(noisy, params), map_named(noisy, state), images


PROJECTOR = {"head": "projector", "hidden_sizes": (7,), "bottleneck_size": 5, "output_size": 4}


@pytest.mark.parametrize("head", [{"num_classes": 3}, PROJECTOR])
def test_its_units_are_permuted_without_a_difference_and_found_again(head):
    model, params, state, images = network(**head)
    spec = permutation_spec(model, params, state)
    assert {"encoder/eyes": 6, "encoder/down": 12, "encoder/mind": 6}.items() <= spec.sizes.items()
    order = random_permutation(spec, jax.random.key(2))
    permuted, permuted_state = (apply_permutation(spec, order, tree) for tree in (params, state))
    logits = jax.jit(lambda params, state: model.apply(params, state, images)[0].logits)
    np.testing.assert_allclose(logits(permuted, permuted_state), logits(params, state), rtol=1e-4, atol=1e-5)
    assert not np.array_equal(permuted["encoder"]["mind"]["kernel"], params["encoder"]["mind"]["kernel"])
    matched, info = match_weights(spec, params, permuted, jax.random.key(3))
    assert info.converged
    jax.tree.map(np.testing.assert_array_equal, apply_permutation(spec, matched, permuted), params)
    jax.tree.map(np.testing.assert_array_equal, apply_permutation(spec, matched, permuted_state), state)


def test_its_filters_are_pruned_with_what_is_theirs_and_removed_without_a_difference():
    model, params, state, images = network(num_classes=3)
    chosen = prunable("kernels_but_output", params, model)
    scores = jax.tree.map(jnp.abs, params)
    mask = build_structure("filters")(scores, full_mask(params), chosen, 0.5, "global", model)
    down = np.asarray(mask["encoder"]["down"]["kernel"]).any((0, 1, 2))
    assert down.sum() == 6
    for name in ("scale", "bias"):
        np.testing.assert_array_equal(mask["encoder"]["calm"][name], down)
    assert np.all(mask["head"]["output"]["kernel"])
    smaller = remove_dead_units(model, params, state, mask=mask)
    np.testing.assert_array_equal(smaller.kept["encoder/down"], down)
    assert smaller.kept["encoder/mind"].all()  # a gain lies along them, of which no layer tells
    assert smaller.params["encoder"]["mind"]["kernel"].shape == (6 * 16, 6)
    masked = jax.tree.map(lambda leaf, kept: leaf * kept, params, mask)
    expected = jax.jit(model.apply)(masked, state, images)[0].logits
    found = jax.jit(with_any_widths(model).apply)(smaller.params, smaller.model_state, images)[0].logits
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
