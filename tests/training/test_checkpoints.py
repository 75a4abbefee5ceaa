import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from small_experiments import distillation, state_of

from repcon_jax.errors import CheckpointError
from repcon_jax.training import checkpoints as module
from repcon_jax.training.checkpoints import Checkpoints, read_network, tree_digest


@pytest.fixture
def state():
    return state_of(*distillation())[0]


def save(directory, state, steps, **rule):
    checkpoints = Checkpoints(directory, **rule)
    for step in steps:
        checkpoints.save(step, dataclasses.replace(state, step=jnp.int32(step)), {"pending": [{"loss": step}]})
    return checkpoints


def test_what_is_saved_is_restored_bit_for_bit(tmp_path, state):
    restored, extra = save(tmp_path, state, [7]).restore(jax.eval_shape(lambda: state))
    assert extra == {"pending": [{"loss": 7}]}
    assert jax.tree.structure(restored) == jax.tree.structure(state)
    assert tree_digest(restored.params) == tree_digest(state.params)
    assert tree_digest(restored.opt_state) == tree_digest(state.opt_state)
    assert int(restored.step) == 7


@pytest.mark.parametrize("older", [False, True], ids=["bits", "as before bits"])
def test_masks_are_stored_as_bits_and_read_as_they_were(tmp_path, state, monkeypatch, older):
    random = np.random.default_rng(0)
    pruned = dataclasses.replace(state, mask=jax.tree.map(lambda leaf: random.random(leaf.shape) < 0.3, state.mask))
    with monkeypatch.context() as patch:
        if older:
            patch.setattr(module, "_packed", lambda state: state)
            patch.setattr(module, "_FORMAT", module._WHOLE_MASKS)
        checkpoints = save(tmp_path, pruned, [3])
    restored, _ = checkpoints.restore(jax.eval_shape(lambda: state))
    parts = checkpoints.restore_parts(3, ("mask",))
    for mask in (restored.mask, parts["mask"]):
        assert tree_digest(mask) == tree_digest(pruned.mask)
    stored = checkpoints._read(3, state=ocp.args.StandardRestore())["mask"]
    bits, leaves = (sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) for tree in (stored, pruned.mask))
    assert bits == leaves if older else bits < leaves / 7


def test_the_rule_decides_which_are_kept(tmp_path, state):
    checkpoints = save(tmp_path, state, range(0, 25), keep_last=2, keep_every=10, keep_steps=(3,))
    assert checkpoints.steps() == list(range(0, 25))  # members of a population delete only once all have saved
    checkpoints.tidy()
    assert checkpoints.steps() == [0, 3, 10, 20, 23, 24]


def test_parts_can_be_loaded_without_knowing_the_run(tmp_path, state):
    save(tmp_path, state, [5])
    params, model_state, _ = read_network(str(tmp_path / "5"))
    assert tree_digest(params) == tree_digest(state.params)
    assert model_state == state.model_state
    teacher, _, _ = read_network(str(tmp_path / "5"), "teacher")
    assert tree_digest(teacher) == tree_digest(state.carried["teacher"].params)
    with pytest.raises(CheckpointError, match="did you mean 'teacher'"):
        read_network(str(tmp_path / "5"), "techer")
    with pytest.raises(CheckpointError, match="is no checkpoint; give a folder"):
        read_network(str(tmp_path / "6"))


def largest_file(folder):
    return max((f for f in folder.rglob("*") if f.is_file()), key=lambda f: f.stat().st_size)


@pytest.mark.filterwarnings("ignore:.*Event loop is closed:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Exception ignored in:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_checkpoint_is_told_in_one_sentence(tmp_path, state, damage):
    checkpoints = save(tmp_path, state, [5])
    file = largest_file(tmp_path / "5" / "state")
    content = file.read_bytes()
    if damage == "truncate":
        file.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        middle = len(content) // 2
        file.write_bytes(
            content[:middle] + bytes(255 - b for b in content[middle : middle + 64]) + content[middle + 64 :]
        )
    else:
        file.unlink()
    with pytest.raises(CheckpointError, match=r"5 is truncated, damaged or foreign; move that folder away"):
        checkpoints.restore(state)


def test_a_checkpoint_of_another_structure_names_the_first_differing_path(tmp_path, state):
    checkpoints = save(tmp_path, state, [5])
    other = dataclasses.replace(state, params={**state.params, "head": {"kernel": jnp.ones(2)}})
    with pytest.raises(CheckpointError, match=r"holds nothing at 'params/head/kernel' where this config needs"):
        checkpoints.restore(other)


def test_a_foreign_folder_is_refused(tmp_path, state):
    import orbax.checkpoint as ocp

    with ocp.CheckpointManager(tmp_path) as manager:
        manager.save(1, args=ocp.args.Composite(state=ocp.args.StandardSave({"a": np.ones(3)})))
    with pytest.raises(CheckpointError, match="foreign"):
        Checkpoints(tmp_path).restore(state)


def test_no_checkpoint_says_so(tmp_path, state):
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        Checkpoints(tmp_path).restore(state)


def test_the_digest_sees_names_shapes_and_every_byte():
    tree = {"a": np.zeros(4, np.float32), "b": np.ones((2, 2), bool)}
    digests = {
        tree_digest(t)
        for t in (
            tree,
            {"a": tree["a"], "c": tree["b"]},
            {"a": tree["a"].reshape(2, 2), "b": tree["b"]},
            {"a": np.float32([0, 0, 0, 1e-45]), "b": tree["b"]},
        )
    }
    assert len(digests) == 4
