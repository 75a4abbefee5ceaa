import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from repcon_jax.errors import CheckpointError
from repcon_jax.random import stable_hash, stream
from repcon_jax.trees import all_finite, check_same_structure, signature


def test_streams_differ_by_seed_name_and_step_and_do_not_depend_on_the_process():
    keys = [stream(jax.random.key(s), n, t) for s in (0, 1) for n in ("a", "b") for t in (None, 0, 1)]
    assert len({tuple(jax.random.key_data(k).tolist()) for k in keys}) == len(keys)
    code = "from repcon_jax.random import stable_hash; print(stable_hash('teacher'))"
    outputs = {
        subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": str(seed)}, capture_output=True).stdout
        for seed in (1, 2)
    }
    assert outputs == {f"{stable_hash('teacher')}\n".encode()}


def test_a_traced_step_gives_the_same_key():
    key = jax.random.key(0)
    traced = jax.jit(lambda step: jax.random.key_data(stream(key, "a", step)))(jnp.int32(5))
    assert traced.tolist() == jax.random.key_data(stream(key, "a", 5)).tolist()


def test_finiteness_sees_every_leaf_and_ignores_integers():
    assert bool(all_finite({"a": jnp.ones(2), "b": jnp.arange(3)}))
    assert not bool(all_finite({"a": jnp.ones(2), "b": jnp.array([1.0, jnp.nan])}))
    assert not bool(all_finite({"a": jnp.array([jnp.inf])}))


def test_the_first_differing_path_is_named():
    tree = {"a": jnp.ones(2), "b": {"c": jnp.ones((2, 3))}}
    check_same_structure(signature(tree), signature(tree), "x", "mend it")
    other = {"a": jnp.ones(2), "b": {"c": jnp.ones((2, 4))}}
    with pytest.raises(
        CheckpointError, match=r"x holds \[\[2, 3\], 'float32'\] at 'b/c' where this config needs \[\[2, 4\]"
    ):
        check_same_structure(signature(tree), signature(other), "x", "mend it")
    with pytest.raises(CheckpointError, match="needs nothing"):
        check_same_structure(signature(tree), signature({"a": jnp.ones(2)}), "x", "mend it")
