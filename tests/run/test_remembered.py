"""What a frozen teacher makes of images that never change is computed once: it changes no result, and is kept."""

import os
import signal

import jax
import numpy as np
import pytest
from test_population import MLP, advance, config_of, population_of

from repcon_jax.__main__ import main
from repcon_jax.run import remembered
from repcon_jax.run.experiment import build_experiment
from repcon_jax.run.remembered import forget, remember

GRID = ("--config.population.seed=[0,3]", "--config.population.locality=[0.2,1.0]")
NEVER = "--config.objective.remember_teacher=False"


@pytest.mark.parametrize("members", ["vectorised", "sequential"])
def test_training_with_a_remembered_teacher_is_training_with_its_forward_pass(members):
    ends = []
    for extra in ((), (NEVER,)):
        program, values = population_of(config_of(*GRID, f"--config.mesh.members={members}", *extra))
        assert (program.remember is None) == bool(extra)
        ends.append(advance(program, values, 4))
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_what_is_remembered_are_the_teachers_embeddings_of_all_images_in_order():
    config = config_of("--config.population.seed=[0,3]", "--config.data.subset=45")  # the last batch is not full
    program, members = population_of(config)
    state = program.initial_state(members)
    embeddings, images = program.remembered(state, members), program.recipe.data.images
    assert embeddings.shape == (2, len(images), 8)
    for i in range(2):
        teacher = program.member(state, i, 0).carried["teacher"]
        np.testing.assert_allclose(embeddings[i], teacher.encoder.apply(images)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "option",
    [
        "--config.data.global_augment=flip",
        "--config.objective.teacher_update=ema",
        "--config.objective.teacher_batch_norm=from_data",
        "--config.duration=1 epochs",
        NEVER,
    ],
)
def test_it_is_not_remembered_where_it_changes_or_is_used_but_once(option):
    assert not build_experiment(config_of(option)).recipe.remembers
    assert build_experiment(config_of()).recipe.remembers


def test_it_is_read_where_an_earlier_start_left_it_and_computed_anew_where_it_does_not_fit(tmp_path):
    program, members = population_of(config_of("--config.population.seed=[0,3]"))
    state, said = program.initial_state(members), []

    def remembered_now():
        data = remember(program, state, members, tmp_path, lambda examples: None, said.append)
        return jax.tree.leaves(data.remembered)

    first, second = remembered_now(), remembered_now()
    assert len(said) == 1
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    (tmp_path / "remembered" / "seed_3.npz").write_bytes(b"damaged")
    assert np.array_equal(first[0], remembered_now()[0])
    assert len(said) == 2
    other, its_members = population_of(config_of("--config.population.seed=[0,3]", "--config.data.subset=40"))
    remember(other, other.initial_state(its_members), its_members, tmp_path, lambda examples: None, said.append)
    assert len(said) == 3
    forget(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_run_stopped_while_it_is_computed_goes_on_and_leaves_nothing_of_it(tmp_path, monkeypatch):
    real, asked = remembered.remember, []

    def asked_to_stop(program, state, members, workdir, between, say):
        asked.append(workdir)
        if len(asked) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(program, state, members, workdir, between, say)

    monkeypatch.setattr("repcon_jax.run.group_training.remember", asked_to_stop)
    arguments = [*MLP, f"--workdir={tmp_path}", "--config.probe.probes=()", "--config.figures=False"]
    assert main(arguments) == 143
    assert not (tmp_path / "results.json").exists()
    assert main(arguments) == 0
    assert len(asked) == 2
    assert not (tmp_path / "remembered").exists()


def test_every_view_has_its_teacher():
    ends = []
    for extra in ((), (NEVER,)):
        program, values = population_of(config_of("--config.data.num_global=2", *extra))
        ends.append(advance(program, values, 4))
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
