"""The average of networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from repcon_jax.errors import ArgumentError, ConfigError, TreeError
from repcon_jax.merging import MERGING_METHODS
from repcon_jax.models import Network, Pixels, attach_head, create_encoder, create_head


def network(seed, widths=(5, 3)):
    encoder = create_encoder("mlp", widths=widths, normalisation="batch")
    model = attach_head(encoder, create_head("linear", num_classes=2))
    params, state = model.init(jax.random.key(seed), jnp.ones((2, 4, 4, 1)))
    state = jax.tree.map(lambda leaf: leaf + seed, state)
    return Network(params, state, model, Pixels((0.5,), (0.25,)))


def merge(networks, **options):
    return MERGING_METHODS.build("average", **options)(networks)


def leaves(network):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves((network.params, network.model_state))])


def test_every_parameter_and_statistic_is_the_mean():
    networks = [network(seed) for seed in range(3)]
    merged = merge(networks)
    np.testing.assert_allclose(leaves(merged), np.mean([leaves(one) for one in networks], axis=0), atol=1e-6)
    assert (merged.model, merged.pixels) == (networks[0].model, networks[0].pixels)
    assert jax.tree.structure(merged) == jax.tree.structure(networks[0])


def test_only_the_ratios_of_weights_count_and_they_may_be_negative():
    first, second = network(0), network(1)
    a, b = leaves(first), leaves(second)
    np.testing.assert_allclose(leaves(merge([first, second], weights=(1.0, 3.0))), 0.25 * a + 0.75 * b, atol=1e-6)
    np.testing.assert_allclose(leaves(merge([first, second], weights=(2.0, 6.0))), 0.25 * a + 0.75 * b, atol=1e-6)
    np.testing.assert_allclose(leaves(merge([first, second], weights=(2.0, -1.0))), 2 * a - b, atol=1e-5)
    np.testing.assert_array_equal(leaves(merge([first, second], weights=(1.0, 0.0))), a)


def test_the_average_of_a_network_with_itself_is_that_network():
    one = network(2)
    np.testing.assert_allclose(leaves(merge([one, one, one])), leaves(one), rtol=1e-6)


def test_what_does_not_fit_is_told_in_a_sentence():
    with pytest.raises(TreeError, match="network 2"):
        merge([network(0), network(1, widths=(5, 4))])
    with pytest.raises(ArgumentError, match="weights has 1 entries for 2 networks; give one each"):
        merge([network(0), network(1)], weights=(1.0,))
    with pytest.raises(
        ConfigError, match=r"weights is \(1.0, -1.0\), which sums to zero; give weights with another sum"
    ):
        merge([network(0), network(1)], weights=(1.0, -1.0))
