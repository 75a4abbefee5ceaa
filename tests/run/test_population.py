"""Many members in one program: each equals its single run, whatever differs, however they are grouped."""

import dataclasses
import json
import pathlib

import jax
import numpy as np
import pytest
import tiny_runs
from small_experiments import same_bits

from repcon_jax.__main__ import main
from repcon_jax.errors import ConfigError
from repcon_jax.run.command_line import read_arguments
from repcon_jax.run.experiment import build_experiment
from repcon_jax.run.members import Member, plan_groups, points_of, resolve_axes, seeds_of, with_values
from repcon_jax.run.planning import plan
from repcon_jax.training.checkpoints import Checkpoints
from repcon_jax.training.population import compile_population
from repcon_jax.training.recipe import MemberValues

CONFIG = str(pathlib.Path(__file__).parents[2] / "configs" / "random_teacher.py")
SMALL = [
    "--config.data.options.image_size=8",
    "--config.data.subset=48",
    "--config.encoder.convolution=im2col",
    "--config.head.hidden_sizes=(8,)",
    "--config.head.output_size=16",
    "--config.batch_size=8",
    "--config.duration=12 steps",
    "--config.log_every=4 steps",
    "--config.probe.every=6 steps",
    "--config.probe.probes=('knn',)",
    "--config.checkpoint.every=6 steps",
    "--config.optimiser.learning_rate=1e-2",
]
MLP = [f"--config={CONFIG}:digits,mlp", *[a for a in SMALL if "convolution" not in a], "--config.encoder.widths=(8,)"]


def config_of(*extra, base=MLP):
    # Adam divides by the root of tiny second moments, which magnifies rounding: hence SGD for comparisons.
    plain = (
        "--config.mesh.members=vectorised",
        "--config.probe.probes=()",
        "--config.evaluate=False",
        "--config.optimiser.name=sgd",
        "--workdir=unused",
    )
    return read_arguments([*base, *plain, *extra])[0]


def population_of(config):
    """The program of all members in one group, and their values."""
    experiment = build_experiment(config)
    (group,) = plan_groups(seeds_of(config), len(points_of(config)), experiment.size, 1)
    members = experiment.members(group)
    return compile_population(experiment.recipe, members), members


def advance(program, members, steps):
    state = program.initial_state(members)
    return program.chunk(program.data_with(program.remembered(state, members)), state, steps, members)


def check_members_equal_single_runs(config, rtol, atol, *, plain=True, steps=4):
    """One program for all members, against the same program for one, and that of a config without a population."""
    program, members = population_of(config)
    population, metrics = advance(program, members, steps)
    paths, first = resolve_axes(config), Member(seeds_of(config)[0], points_of(config)[0])
    one_of = lambda i, j: MemberValues(members.seeds[i : i + 1], {n: v[j : j + 1] for n, v in members.values.items()})  # noqa: E731
    single = compile_population(program.recipe, one_of(0, 0))
    runs = [(i, j, single, one_of(i, j)) for i in range(program.shape[0]) for j in range(program.shape[1])]
    if plain:
        alone = dataclasses.replace(config, seed=first.seed, num_seeds=1, population={})
        runs.append((0, 0, *population_of(with_values(alone, {paths[a]: v for a, v in first.values.items()}))))
    for i, j, other, its_members in runs:
        state, its_metrics = advance(other, its_members, steps)
        for name, values in its_metrics.items():
            np.testing.assert_allclose(metrics[name][i, j, :steps], values[0, 0, :steps], rtol=rtol, atol=atol)
        pair = program.member(population, i, j).params, other.member(state, 0, 0).params
        for a, b in zip(*map(jax.tree.leaves, pair), strict=True):
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


FAMILIES = {
    "mlp": ("widths=(8,)", "normalisation=batch"),
    "vgg11": ("width=0.05", "num_stages=2"),
    "resnet20": ("width=0.2", "blocks=(1,1)"),
    "vit_tiny": ("depth=1",),
    "convnet": ("width=4", "num_stages=2"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_each_member_equals_its_single_run_for_every_family(family):
    options = [f"--config.encoder.{option}" for option in FAMILIES[family]]
    small = [a for a in SMALL if family != "mlp" or "convolution" not in a]
    config = config_of(
        *options,
        "--config.population.seed=[0,3]",
        base=[f"--config={CONFIG}:digits,{family}", *small],
    )
    check_members_equal_single_runs(config, 1e-3, 1e-5, plain=False)


@pytest.mark.parametrize(
    "axes",
    [
        ("locality=[0.3,1.0]", "learning_rate=[0.01,'cosine(start=0.05, end=0.0)']"),
        ("teacher_temperature=[1.0,0.5]", "student_temperature=[1.0,'linear(start=1.0, end=0.2)']"),
        ("weight_decay=[0.0,0.3]", "momentum=[0.0,0.9]", "clip_norm=[0.0,0.01]"),
        ("objective.epsilon=[0.1,0.5]", "centre_momentum=[0.5,0.9]"),
    ],
)
def test_any_scalar_may_differ(axes):
    start = "neighbourhood" if "objective.epsilon=[0.1,0.5]" in axes else "interpolated"
    given = (f"--config.population.{axis}" for axis in axes)
    config = config_of(*given, "--config.objective.locality=0.5", f"--config.objective.start={start}")
    check_members_equal_single_runs(config, 1e-4, 1e-6)


def test_one_after_the_other_is_all_at_once():
    grid = ("--config.population.seed=[0,3]", "--config.population.locality=[0.2,0.5,1.0]")
    ends = []
    for how in ("vectorised", "sequential"):
        program, members = population_of(config_of(*grid, f"--config.mesh.members={how}"))
        ends.append(advance(program, members, 4))
    for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_teacher_that_never_changes_is_kept_once_for_all_points():
    frozen, members = population_of(config_of("--config.population.locality=[0.0,0.5]"))
    state = frozen.initial_state(members)
    assert frozen.constant == ("teacher",)
    leaf = jax.tree.leaves(state.carried["teacher"])[0]
    assert leaf.ndim == jax.tree.leaves(frozen.member(state, 0, 1).carried["teacher"])[0].ndim + 1
    moving, _ = population_of(
        config_of("--config.population.locality=[0.0,0.5]", "--config.objective.teacher_update=ema")
    )
    assert moving.constant == ()


def run(workdir, *extra):
    return main([*MLP, f"--workdir={workdir}", *extra])


GRID = ("--config.population.seed=[1,4]", "--config.population.locality=[0.0,0.5,1.0]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("population") / "finished"
    assert run(workdir, *GRID) == 0
    return workdir


def test_everything_is_written_per_member_and_summarised_per_point(finished):
    results = json.loads((finished / "results.json").read_text())
    assert results["seeds"] == [1, 4]
    assert [point["values"] for point in results["points"]] == [{"locality": a} for a in (0.0, 0.5, 1.0)]
    for point in results["points"]:
        alpha = point["values"]["locality"]
        results_of_point = [
            json.loads((finished / "members" / f"locality_{alpha}__seed_{seed}.json").read_text()) for seed in (1, 4)
        ]
        values = [m["probe"]["student"]["knn"]["value"] for m in results_of_point]
        assert point["probe"]["student"]["knn"]["values"] == values
        assert point["probe"]["student"]["knn"]["mean"] == pytest.approx(np.mean(values))
    rows = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    for seed in (1, 4):
        for alpha in (0.0, 0.5, 1.0):
            mine = [r for r in rows if r["seed"] == seed and r["locality"] == alpha]
            assert [r["step"] for r in mine if r["kind"] == "train"] == [0, 4, 8, 12]
            assert [r["step"] for r in mine if r["kind"] == "probe"] == [0, 6, 12]
    # The teacher depends on the seed alone.
    teachers = {(r["seed"], r["teacher/knn"]) for r in rows if r["kind"] == "probe"}
    assert len(teachers) == 2
    report = (finished / "report.md").read_text()
    assert "locality 0.5" in report
    assert "population.png" in report


def test_a_population_in_groups_equals_one_at_once(finished, tmp_path, capsys):
    program = plan(build_experiment(config_of(*GRID)), tmp_path, print)[1]
    limit = program.bytes_per_device() * 0.7 / 1e9
    assert run(tmp_path / "run", *GRID, f"--config.mesh.memory_gb={limit}") == 0
    assert "does not fit into memory at once" in capsys.readouterr().out
    for name in ("locality_0.0__seed_1", "locality_1.0__seed_4"):
        ends = []
        for workdir in (finished, tmp_path / "run"):
            checkpoints = Checkpoints(workdir / "checkpoints" / name, read_only=True)
            ends.append(checkpoints.restore_parts(12, ("params",)))
            checkpoints.close()
        for a, b in zip(*map(jax.tree.leaves, ends), strict=True):
            np.testing.assert_allclose(a, b, 1e-4, 1e-6)


def test_a_member_that_diverges_is_left_out_and_the_others_go_on(tmp_path, capsys):
    extra = ("--config.population.learning_rate=[0.01,1e30]", "--config.optimiser.name=sgd")
    assert run(tmp_path / "run", *extra) == 0
    out = capsys.readouterr().out
    assert "learning_rate_1e+30__seed_0: " in out
    assert "it is left out, the others go on" in out
    good, bad = json.loads((tmp_path / "run" / "results.json").read_text())["points"]
    assert good["seeds"] == [0]
    assert "diverged" not in good
    assert bad["diverged"] == [0]
    assert bad["probe"] == {}


def test_a_single_run_that_diverges_ends_with_code_1(tmp_path, capsys):
    assert run(tmp_path / "run", "--config.optimiser.learning_rate=1e30", "--config.optimiser.name=sgd") == 1
    assert "training stopped and the last good checkpoint is kept" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("axis", "message"),
    [
        ("localty=[0.1]", "population.localty names no scalar that can differ between members; did you mean 'local"),
        ("batch_size=[8,16]", "population.batch_size names no scalar"),
        ("epsilon=[0.1]", "population.epsilon names two scalars"),
        ("locality=0.1", "population.locality is 0.1 (float) but must be a tuple"),
        ("locality=[0.1,0.1]", "without repetition"),
        ("locality=['a']", "population.locality is 'a' (str) but must be float"),
        ("locality=[0.5,2.0]", "objective.locality is 2.0 but must lie in [0, 1]"),
        ("learning_rate=['cosin()']", "did you mean 'cosine'"),
        ("seed=[-1]", "population.seed has -1 but must lie in"),
    ],
)
def test_a_wrong_axis_is_told_in_one_sentence(axis, message):
    with pytest.raises(ConfigError) as error:
        build_experiment(config_of(f"--config.population.{axis}"))
    assert message in str(error.value)


def test_an_axis_that_the_objective_does_not_list_among_its_scalars_is_refused():
    config = tiny_runs.config_of(**tiny_runs.TWO_HEADS, population={"weight": (0.5, 1.0)})
    with pytest.raises(ConfigError) as error:
        build_experiment(config)
    assert (
        "population.weight differs between members but objective 'two_heads' does not list 'weight' among its"
        in str(error.value)
    )


def test_what_is_frozen_is_so_for_every_member():
    rules = (("^encoder/", "set(frozen='always')"), (".*", "default"))
    optimiser = {"name": "sgd", "learning_rate": 0.1, "rules": rules}
    config = tiny_runs.config_of(optimiser=optimiser, population={"seed": (0, 3), "learning_rate": (0.1, 0.3)})
    program, members = population_of(config)
    begin = jax.tree.map(np.array, program.initial_state(members).params)
    state, _ = advance(program, members, 4)
    assert same_bits(state.params["encoder"], begin["encoder"])
    ends = [program.member(state, i, j).params["head"] for i in range(2) for j in range(2)]
    assert not any(same_bits(ends[i], ends[j]) for i in range(4) for j in range(i))
    check_members_equal_single_runs(config, 1e-4, 1e-6)


@pytest.mark.parametrize(
    "changes",
    [tiny_runs.TWO_HEADS, {"sources": {"scenes": tiny_runs.SCENES}, "duration": "2 epochs"}],
    ids=["read", "beside what is remembered"],
)
def test_every_seed_has_its_own_batches_of_further_sources(changes):
    mesh = {"members": "vectorised"}
    config = tiny_runs.config_of(**changes, mesh=mesh, population={"seed": (0, 3), "learning_rate": (0.1, 0.3)})
    assert build_experiment(config).recipe.remembers == ("duration" in changes)
    check_members_equal_single_runs(config, 1e-4, 1e-6)


def test_groups_cover_every_member_and_have_one_size():
    for seeds, points, capacity, multiple in [
        (3, 11, 33, 1),
        (3, 11, 10, 1),
        (3, 11, 2, 1),
        (1, 5, 4, 4),
        (5, 1, 3, 2),
    ]:
        groups = plan_groups(range(seeds), points, capacity, multiple)
        assert {(s, p) for g in groups for s in g.seeds for p in g.points} == {
            (s, p) for s in range(seeds) for p in range(points)
        }
        assert len({(len(g.seeds), len(g.points)) for g in groups}) == 1
        rows, columns = len(groups[0].seeds), len(groups[0].points)
        assert rows % multiple == 0 or columns % multiple == 0
        assert rows * columns <= max(capacity, multiple) or multiple > 1


def test_names_are_paths():
    assert str(Member(3, {})) == "seed_3"
    assert str(Member(0, {"objective.locality": 1e-10})) == "locality_1e-10__seed_0"
    assert "/" not in str(Member(0, {"learning_rate": "cosine(start=0.1, warmup='1/2')"}))
