import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from small_experiments import distillation, same_bits, state_of, with_step

from repcon_jax.errors import CheckpointError
from repcon_jax.training import checkpoints as module
from repcon_jax.training.checkpoints import Checkpoints, read_network, tree_digest
from repcon_jax.training.partition import paths_below
from repcon_jax.trees import named_leaves, pack_bits, signature


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


def test_a_damaged_first_checkpoint_which_later_ones_need_is_not_to_be_moved_away(tmp_path, state):
    checkpoints = save(tmp_path, state, [0, 5])
    largest_file(tmp_path / "0" / "state").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"0 is truncated, damaged or foreign; put it back or start anew"):
        checkpoints.restore(state, 0)


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


def save_as_before(directory, state):
    """What the program of the format before wrote at step 7: networks as dicts, everything in every step."""
    teacher = state.carried["teacher"]
    carried = {**state.carried, "teacher": {"params": teacher.params, "model_state": teacher.model_state}}
    host = jax.tree.map(np.asarray, dataclasses.replace(state, step=jnp.int32(7), carried=carried))
    fields = {field.name: getattr(host, field.name) for field in dataclasses.fields(host)}
    about = {
        "format": "repcon_jax/2",
        "digests": {name: tree_digest(value) for name, value in fields.items()},
        "signature": signature(host),
        "extra": {"pending": [{"loss": 1}]},
    }
    packed = dataclasses.replace(host, mask=jax.tree.map(pack_bits, host.mask))
    options = ocp.CheckpointManagerOptions(enable_async_checkpointing=False)
    with ocp.CheckpointManager(directory, options=options) as manager:
        args = ocp.args.Composite(state=ocp.args.StandardSave(packed), about=ocp.args.JsonSave(about))
        manager.save(7, args=args, force=True)


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_a_checkpoint_of_the_format_before_is_read(tmp_path, normalisation):
    state, _ = state_of(*distillation(normalisation=normalisation))
    save_as_before(tmp_path, state)
    checkpoints = Checkpoints(tmp_path, constant=("teacher",))
    restored, extra = checkpoints.restore(jax.eval_shape(lambda: state))
    assert extra == {"pending": [{"loss": 1}]}
    assert same_bits(restored, with_step(state, 7))
    assert checkpoints.networks(7) == {}
    # The run goes on, and there is no first checkpoint that could hold what never changes.
    checkpoints.save(9, with_step(state, 9), {})
    assert same_bits(checkpoints.restore(jax.eval_shape(lambda: state), 9)[0], with_step(state, 9))
    params, model_state, description = read_network(str(tmp_path / "7"), "teacher")
    assert description is None
    assert same_bits((params, model_state), (state.carried["teacher"].params, state.carried["teacher"].model_state))


def stored_paths(checkpoints, step):
    return set(named_leaves(checkpoints._read(step, state=ocp.args.StandardRestore())))


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_what_never_changes_lies_in_the_first_checkpoint_alone(tmp_path, normalisation):
    state, _ = state_of(*distillation(normalisation=normalisation))
    frozen = paths_below(state.params, "encoder")
    checkpoints = save(tmp_path, state, [0, 3, 5], constant=("teacher",), frozen=frozen, keep_last=2)
    first, later = (stored_paths(checkpoints, step) for step in (0, 5))
    assert first - later == {
        *(f"params/{path}" for path in frozen),
        *(path for path in first if path.startswith("carried/teacher/")),
    }
    assert later < first
    sizes = [sum(file.stat().st_size for file in (tmp_path / str(s) / "state").rglob("*")) for s in (0, 5)]
    assert sizes[1] < sizes[0]
    for reader in (checkpoints, Checkpoints(tmp_path, read_only=True)):  # what is where stands in the checkpoint
        restored, _ = reader.restore(jax.eval_shape(lambda: state))
        assert jax.tree.structure(restored) == jax.tree.structure(state)
        assert same_bits(restored, with_step(state, 5))
        parts = reader.restore_parts(5, ("params", "carried", "mask"))
        assert same_bits((parts["params"], parts["mask"]), (state.params, state.mask))
    for part, network in (("params", state), ("teacher", state.carried["teacher"])):
        trees = read_network(str(tmp_path / "5"), part)[:2]
        assert same_bits(trees, (network.params, network.model_state))


def test_without_the_first_checkpoint_what_never_changes_is_missed_in_one_sentence(tmp_path, state):
    checkpoints = save(tmp_path, state, [0, 5], constant=("teacher",))
    checkpoints.close()
    shutil.rmtree(tmp_path / "0")
    checkpoints = Checkpoints(tmp_path, constant=("teacher",))
    for read in (lambda: checkpoints.restore(state), lambda: read_network(str(tmp_path / "5"), "teacher")):
        with pytest.raises(CheckpointError, match=r"^\S+ has no step 0, which holds .* of step 5; put it back\.$"):
            read()


def test_a_first_checkpoint_of_another_run_is_noticed(tmp_path, state):
    save(tmp_path / "run", state, [0, 5], constant=("teacher",)).close()
    other, _ = state_of(*distillation(), seed=1)
    save(tmp_path / "other", other, [0]).close()
    shutil.rmtree(tmp_path / "run" / "0")
    shutil.copytree(tmp_path / "other" / "0", tmp_path / "run" / "0")
    with pytest.raises(CheckpointError, match="5 is truncated, damaged or foreign"):
        Checkpoints(tmp_path / "run").restore(state)
