"""Every config file, with every argument that it documents, is loaded and trained for two steps."""

import itertools
import json
import pathlib
import runpy

import pytest
from readme_commands import arguments_named
from smoke import SHRINK, shrink

from repcon_jax.data import DataConfig, load
from repcon_jax.errors import ConfigError, DataError
from repcon_jax.run.config import parse_config
from repcon_jax.run.execute import run_experiment
from repcon_jax.run.runs import run_config
from repcon_jax.tasks import task_of

FOLDER = pathlib.Path(__file__).parents[2] / "configs"
FILES = sorted(FOLDER.glob("*.py"))


def arguments_of(file):
    return runpy.run_path(str(file)).get("ARGUMENTS", {})


def combinations(file):
    """As few combinations as name each argument once: data sets with the quickest encoder, the others on scenes.

    Views and encoders of a task that a command of the README names are left to its test.
    """
    groups = {group: list(names) for group, names in arguments_of(file).items()}
    if not groups:
        return [""]
    if "view" in groups:  # every view with the quickest encoder, every encoder in the default view
        run = arguments_named(file.stem)
        views, encoders = ([name for name in groups.pop(group) if name not in run] for group in ("view", "encoder"))
        groups["size"].reverse()  # so that the view that trains most runs is small
        count = max(map(len, (views, *groups.values()))) if views else 0
        rows = itertools.islice(zip(*map(itertools.cycle, (*groups.values(), views)), strict=False), count)
        quick = "scenes" if "data" in groups else "few"
        return [",".join(("mlp", *row)) for row in rows] + [f"{quick},{name}" for name in encoders if name != "mlp"]
    others = [names for group, names in groups.items() if group != "data"]
    cycled = [itertools.islice(itertools.cycle(names), max(map(len, others))) for names in others]
    return [f"{name},mlp" for name in groups["data"]] + [
        ",".join(("scenes", *row)) for row in zip(*cycled, strict=True)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "arguments"),
    [pytest.param(f, a, id=f"{f.stem}:{a}") for f in FILES for a in combinations(f)],
)
def test_two_steps_of_every_documented_argument(file, arguments, tmp_path):
    values = runpy.run_path(str(file))["get_config"](arguments or None).to_dict()
    if "task" in values:
        check_two_steps_of_a_task(values, tmp_path)
        return
    values = shrink(values)
    if "mlp" not in arguments:  # the recipe's own augmentation is compiled where the encoder costs nothing
        values["data"] |= {name: "flip" for name in ("global_augment", "local_augment") if values["data"][name]}
        values["data"]["num_local"] = min(1, values["data"]["num_local"])
    config = parse_config(values)
    skip_without(config.data)
    results = run_experiment(config, tmp_path / "run")
    assert results["steps"] == 2
    assert results["train"]["loss"]["mean"] > 0
    assert (tmp_path / "run" / "report.md").exists()


def check_two_steps_of_a_task(values, tmp_path):
    task = task_of(values)
    config = task.parse(SHRINK[values["task"]](values))
    for data in (run_config(config.runs, next(iter(config.runs))).data, *getattr(config, "targets", {}).values()):
        skip_without(data)
    task.run(config, tmp_path / "run")
    assert (tmp_path / "run" / "report.md").exists()


def skip_without(data):
    try:
        load(data.name, "train", **data.options)
    except DataError as error:
        pytest.skip(f"data set {data.name} is not at hand: {error}")


@pytest.mark.parametrize("file", [f for f in FILES if arguments_of(f)], ids=lambda f: f.stem)
def test_every_argument_is_run_here_or_by_the_readme_s_commands(file):
    named = {name for names in combinations(file) for name in names.split(",")} | arguments_named(file.stem)
    assert {name for names in arguments_of(file).values() for name in names} <= named


@pytest.mark.parametrize("file", [f for f in FILES if arguments_of(f)], ids=lambda f: f.stem)
def test_the_docstring_names_every_argument_of_its_own_groups(file):
    text = runpy.run_path(str(file))["__doc__"]
    for group, names in arguments_of(file).items():
        assert f"    {group}" in text
        for name in names:
            assert name in text or (group == "encoder" and "ENCODERS" in text), name


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_config_survives_json_and_back(file):
    values = runpy.run_path(str(file))["get_config"](None).to_dict()
    task = task_of(values)
    config = task.parse(values)
    again = task.parse(json.loads(json.dumps(task.plain(config))))
    assert task.plain(again) == task.plain(config)


def test_the_chains_of_a_lottery_keep_their_order():
    values = runpy.run_path(str(FOLDER / "lottery.py"))["get_config"]("small").to_dict()
    assert list(values["chains"]) == ["random", "step_50", "step_100", "step_200", "distilled"]


def test_a_wrong_argument_names_the_nearest():
    get_config = runpy.run_path(str(FOLDER / "random_teacher.py"))["get_config"]
    with pytest.raises(ConfigError, match=r"config argument 'vgg1' does not exist; did you mean 'vgg1"):
        get_config("cifar10,vgg1")
    with pytest.raises(ConfigError, match=r"names two of encoder: 'vgg11' and 'vgg13'; keep one"):
        get_config("vgg11,vgg13")


def test_the_paper_s_recipe_is_the_default():
    config = parse_config(runpy.run_path(str(FOLDER / "random_teacher.py"))["get_config"]("cifar10,vgg11").to_dict())
    assert (config.batch_size, config.duration, config.drop_last) == (256, "100 epochs", True)
    assert (config.optimiser.name, config.optimiser.learning_rate, config.optimiser.weight_decay) == ("adamw", 1e-3, 0)
    head, objective = config.head.options, config.objective.options
    assert head["hidden_sizes"] == (2048, 2048)
    assert (head["bottleneck_size"], head["output_size"], head["weight_normalisation"]) == (256, 65536, True)
    assert (objective["teacher_temperature"], objective["student_temperature"], objective["locality"]) == (1, 1, 1e-10)
    assert (objective["teacher_update"], objective["teacher_batch_norm"]) == ("frozen", "evaluation")
    assert config.data == DataConfig("cifar10")
