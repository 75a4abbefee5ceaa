"""Landscapes from config to report, on networks of one tiny run."""

import contextlib
import json
import pathlib
import re
import shutil
import signal

import jax
import numpy as np
import pytest

from repcon_jax.__main__ import main
from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.derivatives import hessian_vector_product
from repcon_jax.errors import CheckpointError, ConfigError
from repcon_jax.losses import kl_divergence
from repcon_jax.machine.stopping import Stopped
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, plain_config
from repcon_jax.run.execute import run_experiment
from repcon_jax.run.references import expand
from repcon_jax.run.runs import order_of
from repcon_jax.tasks.landscape import run as module
from repcon_jax.tasks.landscape.analyses import ANALYSES
from repcon_jax.tasks.landscape.bench import build_bench
from repcon_jax.tasks.landscape.config import LandscapeConfig, parse_landscape, plain_landscape
from repcon_jax.tasks.landscape.losses import loss_of, measured
from repcon_jax.tasks.landscape.run import run_landscape
from repcon_jax.training.checkpoints import CheckpointConfig
from repcon_jax.training.mesh import MeshConfig

DIGITS = DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 8}, subset=60)
SUPERVISED = ExperimentConfig(
    title="tiny",
    data=DIGITS,
    encoder=with_options(ENCODERS, "mlp", widths=(6,), normalisation="batch"),
    head=with_options(HEADS, "linear"),
    objective=with_options(OBJECTIVES, "supervised", start_seed=0),
    probe=ProbeConfig(probes=(), during="none"),
    checkpoint=CheckpointConfig(keep=("1 steps",)),
    batch_size=20,
    duration="2 steps",
    num_seeds=3,
)
SMALL = {"train_examples": 40, "test_examples": 20, "batch_size": 16, "recalibration_examples": 32, "figures": False}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Three supervised runs from one start."""
    workdir = tmp_path_factory.mktemp("landscape") / "run"
    run_experiment(SUPERVISED, workdir)
    return workdir / "checkpoints"


def config_of(name, metrics=("error", "norm"), reference=None, **options):
    analysis = with_options(ANALYSES, name, **options)
    return LandscapeConfig("tiny", analysis, metrics, reference=reference, **SMALL)


def plane_config(trained, metrics=("supervised_loss", "norm"), **options):
    ends = tuple((f"run {i}", f"{trained}/seed_{i}/2") for i in range(3))
    return config_of("plane", metrics, points=ends, **{"resolution": (4, 3), **options})


def lines_of(workdir, name="plane"):
    return [json.loads(line) for line in (workdir / "values" / f"{name}.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_plane_is_measured_once_and_a_closer_view_reuses_it(trained, tmp_path):
    config, said = plane_config(trained), []
    results = run_landscape(config, tmp_path / "a")
    written = {path.name for path in (tmp_path / "a").iterdir()}
    assert {"report.md", "results.json", "config.json", "environment.json"} <= written
    assert "figures" not in written
    assert results["batch_norm"] == "recalibrated"
    (whole,) = results["grids"]
    assert np.shape(whole["values"]["train/supervised_loss"]) == (3, 4)
    assert len(lines_of(tmp_path / "a")) == 1 + 3 + 12
    assert run_landscape(config, tmp_path / "a", said.append) == json.loads(json.dumps(results))
    assert said == [f"This landscape is complete: see {tmp_path / 'a' / 'report.md'}."]

    box = (whole["x"][0], whole["x"][-1], whole["y"][0], whole["y"][-1])
    finer = run_landscape(plane_config(trained, extent=box, resolution=(7, 5)), tmp_path / "a")
    assert len(lines_of(tmp_path / "a")) == 1 + 3 + 7 * 5  # every second point in each direction was known
    shared = np.array(finer["grids"][0]["values"]["train/supervised_loss"])[::2, ::2]
    np.testing.assert_array_equal(shared, whole["values"]["train/supervised_loss"])
    fresh = run_landscape(plane_config(trained, extent=box, resolution=(7, 5)), tmp_path / "b")
    np.testing.assert_allclose(
        finer["grids"][0]["values"]["train/supervised_loss"], fresh["grids"][0]["values"]["train/supervised_loss"]
    )


@pytest.mark.slow
def test_a_landscape_that_was_stopped_or_cut_short_goes_on_to_the_same_values(trained, tmp_path, monkeypatch):
    config = plane_config(trained)
    expected = run_landscape(config, tmp_path / "whole")

    @contextlib.contextmanager
    def after_one_chunk():
        asked = iter([0, signal.SIGTERM])
        yield lambda: next(asked)

    with monkeypatch.context() as patch:
        patch.setattr(module, "stop_requests", after_one_chunk)
        with pytest.raises(Stopped):
            run_landscape(config, tmp_path / "cut")
    known = lines_of(tmp_path / "cut")
    assert 1 < len(known) < 1 + 3 + 12
    assert not (tmp_path / "cut" / "results.json").exists()
    file = tmp_path / "cut" / "values" / "plane.jsonl"
    file.write_text(file.read_text()[:-7])  # as a kill in the middle of a line leaves it
    assert run_landscape(config, tmp_path / "cut") == expected

    finer = plane_config(trained, resolution=(7, 5))
    with monkeypatch.context() as patch:
        patch.setattr(module, "stop_requests", after_one_chunk)
        with pytest.raises(Stopped):
            run_landscape(finer, tmp_path / "cut")
    again = run_landscape(finer, tmp_path / "cut")  # and not the coarse results, which were complete
    assert np.shape(again["grids"][0]["values"]["norm"]) == (5, 7)


@pytest.mark.slow
def test_points_that_do_not_fit_into_memory_are_measured_in_chunks_and_a_line_says_so(trained, tmp_path):
    said = []
    vectorised = wrong(trained, mesh=MeshConfig(members="vectorised"))
    at_once = run_landscape(vectorised, tmp_path / "once", said.append)
    assert said == []
    small = wrong(trained, mesh=MeshConfig(members="vectorised", memory_gb=4e-5))
    chunked = run_landscape(small, tmp_path / "chunked", said.append)
    assert re.fullmatch(r"\d+ points do not fit into memory at once \(.*\): measured in chunks of \d\.", said[-1])
    for metric, values in at_once["grids"][0]["values"].items():
        np.testing.assert_allclose(chunked["grids"][0]["values"][metric], values, rtol=1e-4)


@pytest.mark.slow
def test_what_another_landscape_measured_is_neither_mixed_in_nor_lost(trained, tmp_path):
    run_landscape(plane_config(trained), tmp_path / "a")
    with pytest.raises(CheckpointError, match="belongs to another config: batch_size differ"):
        run_landscape(LandscapeConfig(**{**vars(plane_config(trained)), "batch_size": 8}), tmp_path / "a")
    copied = tmp_path / "copied"
    shutil.copytree(trained.parent, copied)
    config = plane_config(copied / "checkpoints")
    run_landscape(config, tmp_path / "b")
    shutil.rmtree(copied / "checkpoints" / "seed_1" / "2")
    shutil.copytree(trained / "seed_1" / "1", copied / "checkpoints" / "seed_1" / "2")
    (tmp_path / "b" / "report.md").unlink()
    with pytest.raises(ValueError, match="values of other networks"):
        run_landscape(config, tmp_path / "b")


@pytest.mark.slow
def test_pairs_of_runs_and_their_barriers(trained, tmp_path):
    ends = tuple(f"{trained}/seed_{i}/2" for i in range(3))
    config = config_of("paths", groups={"one start": ends, "itself": (ends[0], ends[0])}, num_points=3)
    results = run_landscape(config, tmp_path)
    assert [len(group["pairs"]) for group in results["groups"].values()] == [3, 1]
    itself = results["groups"]["itself"]["pairs"][0]
    assert itself["barrier"]["train/error"] == {"over_line": 0.0, "over_mean": 0.0}
    pair = results["groups"]["one start"]["pairs"][0]
    assert pair["ends"] == list(ends[:2])
    heights = [p["barrier"]["norm"]["over_mean"] for p in results["groups"]["one start"]["pairs"]]
    assert results["groups"]["one start"]["instability"]["norm"]["mean"] == pytest.approx(np.mean(heights))


@pytest.mark.slow
def test_runs_of_the_landscape_are_trained_in_order_and_start_where_they_should(tmp_path):
    first = plain_config(SUPERVISED)
    start = with_options(
        OBJECTIVES, "supervised", start="checkpoint", checkpoint="{runs}/z_first/seed_0/end", start_seed=0
    )
    second = plain_config(ExperimentConfig(**{**vars(SUPERVISED), "objective": start, "num_seeds": 2}))
    config = LandscapeConfig(
        "tiny",
        with_options(
            ANALYSES, "paths", groups={"start": ("a_second/*/start",), "end": ("a_second/*/end",)}, num_points=2
        ),
        ("norm", "error"),
        runs={"a_second": second, "z_first": first},
        **SMALL,
    )
    assert order_of(config.runs) == ["z_first", "a_second"]
    results = run_landscape(config, tmp_path)
    assert results["groups"]["start"]["instability"]["norm"]["max"] == 0.0  # members share the start
    ends = results["groups"]["end"]["pairs"][0]["values"]["norm"]
    assert ends[0] != ends[1]


@pytest.mark.slow
def test_curvature_is_that_of_the_loss_on_the_training_part(trained, tmp_path):
    names = tuple((f"run {i}", f"{trained}/seed_{i}/2") for i in range(2))
    config = config_of(
        "curvature",
        points=names,
        loss="supervised_loss",
        eigenvalues=1,
        iterations=25,
        trace_samples=2,
        fisher_examples=8,
        lines=(("run 0", "run 1"),),
        num_points=3,
    )
    results = run_landscape(config, tmp_path)
    point = results["points"]["run 0"]
    analysis = ANALYSES.build(config.analysis.name, **config.analysis.options)
    bench = build_bench(config, tmp_path, list(analysis.networks), (), print, lambda: 0)
    network = measured(bench, bench.network(names[0][1]).network)
    of_network = loss_of(bench, "supervised_loss")

    def loss(params):
        return of_network(network.replace(params=params))

    assert point["loss"] == pytest.approx(float(loss(network.params)), rel=1e-5)
    assert point["residuals"][0] < 1e-2 * abs(point["eigenvalues"][0])
    # Rayleigh quotients of any direction lie below the largest eigenvalue in magnitude.
    vector = jax.tree.map(lambda leaf: jax.numpy.ones_like(leaf) / leaf.size, network.params)
    product = hessian_vector_product(loss, network.params, vector)
    quotient = sum(float((a * b).sum()) for a, b in zip(*map(jax.tree.leaves, (vector, product)), strict=True))
    quotient /= sum(float((a * a).sum()) for a in jax.tree.leaves(vector))
    assert abs(quotient) <= abs(point["eigenvalues"][0]) * 1.01
    line = results["lines"]["run 0 -> run 1"]
    assert line["values"][2] == pytest.approx(point["loss"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("directions", {"centre": "{}/seed_0/2", "resolution": (2, 2)}),
        ("directions", {"centre": "{}/seed_0/2", "along": "hessian", "loss": "supervised_loss", "resolution": (2, 2)}),
        (
            "directions",
            {
                "centre": "{}/seed_0/2",
                "along": "trajectory",
                "trajectory": ("{}/seed_0/0", "{}/seed_0/1", "{}/seed_1/1"),
                "resolution": (2, 2),
            },
        ),
        ("route", {"through": ("{}/seed_0/2", "{}/seed_1/2", "{}/seed_2/2"), "kind": "bezier", "num_points": 3}),
        ("paths", {"groups": {"a": ("{}/seed_0/2", "{}/seed_1/2")}, "align": True, "num_points": 2}),
    ],
)
def test_every_other_analysis_measures_its_networks(name, options, trained, tmp_path):
    def filled(value):
        if isinstance(value, dict):
            return {key: filled(v) for key, v in value.items()}
        if isinstance(value, tuple):
            return tuple(map(filled, value))
        return value.format(trained) if isinstance(value, str) else value

    results = run_landscape(config_of(name, **filled(options)), tmp_path)
    if results["kind"] == "plane":
        values = results["points"][0]["values"]
        grid = results["grids"][0]["values"]["norm"]
        assert np.isfinite(grid).all()
        assert values["norm"] > 0
    else:
        pairs = [pair for group in results["groups"].values() for pair in group["pairs"]]
        assert all(len(pair["values"]["norm"]) == len(results["t"]) for pair in pairs)
        assert all(pair["values"]["norm"][0] == pairs[0]["values"]["norm"][0] for pair in pairs)


@pytest.mark.slow
def test_a_config_survives_json_and_back(trained):
    config = plane_config(trained)
    assert parse_landscape(json.loads(json.dumps(plain_landscape(config)))) == parse_landscape(plain_landscape(config))


def wrong(trained, **changes):
    return LandscapeConfig(**{**vars(plane_config(trained)), **changes})


RUNS = {"first": plain_config(SUPERVISED)}


def points(*references):
    return with_options(ANALYSES, "plane", points=tuple((str(i), text) for i, text in enumerate(references)))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ("eror",)}, "metric.name is 'eror', which does not exist; did you mean 'error'"),
        ({"analysis": points("a", "b")}, "analysis.points names 2 networks but a plane goes through exactly 3"),
        ({"analysis": points("a", "b", "c")}, "reference 'a' is neither RUN/MEMBER/STEP of a run"),
        (
            {"runs": RUNS, "analysis": points(*["first/seed_9/end"] * 3)},
            "reference 'first/seed_9/end' names no member of run 'first'; did you mean 'seed_",
        ),
        ({"runs": RUNS, "analysis": points(*["first/seed_0/last"] * 3)}, "must end in start, end or the number"),
        ({"metrics": ("kl_divergence",)}, "compares with a reference network, but there is none"),
        (
            {"runs": {"first": {**RUNS["first"], "batch_size": 0}}},
            r"runs.first: batch_size is 0 but must lie in \[1, inf\]",
        ),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_measured(changes, message, trained, tmp_path):
    with pytest.raises(ConfigError, match=message):
        run_landscape(wrong(trained, **changes), tmp_path)
    assert not (tmp_path / "values").exists()


@pytest.mark.slow
def test_runs_that_start_from_each_other_or_from_nothing_are_refused(trained):
    def starting(run):
        return {
            **RUNS["first"],
            "objective": {**RUNS["first"]["objective"], "checkpoint": f"{{runs}}/{run}/seed_0/end"},
        }

    with pytest.raises(ConfigError, match="runs start from each other"):
        wrong(trained, runs={"a": starting("b"), "b": starting("a")})
    with pytest.raises(ConfigError, match=r"runs\.a starts from the run 'c'; \(one of: a\)"):
        wrong(trained, runs={"a": starting("c")})


def test_a_step_that_was_never_saved_is_refused_with_the_saved_ones(tmp_path):
    config = LandscapeConfig("tiny", points(*["first/seed_0/7"] * 3), ("norm",), runs=RUNS, **SMALL)
    with pytest.raises(CheckpointError, match="holds no step 7; saved are 0, 1, 2"):
        run_landscape(config, tmp_path)


@pytest.mark.slow
def test_points_on_one_line_and_networks_of_another_shape_are_refused(trained, tmp_path):
    same = points(*[f"{trained}/seed_0/2"] * 3)
    with pytest.raises(ValueError, match="span no plane"):
        run_landscape(wrong(trained, analysis=same), tmp_path / "line")
    wider = ExperimentConfig(
        **{
            **vars(SUPERVISED),
            "encoder": with_options(ENCODERS, "mlp", widths=(7,), normalisation="batch"),
            "num_seeds": 1,
        }
    )
    run_experiment(wider, tmp_path / "wider")
    mixed = points(*[f"{trained}/seed_{i}/2" for i in range(2)], f"{tmp_path}/wider/checkpoints/seed_0/2")
    with pytest.raises(ValueError, match=r"at 'encoder/linear1/bias' where .* has \(6,\)"):
        run_landscape(wrong(trained, analysis=mixed), tmp_path / "shape")


USERS_FILE = '''
"""An analysis of its own, with results of a kind of its own."""

from matplotlib import pyplot as plt
from ml_collections import ConfigDict

from repcon_jax.figures.landscapes import RESULT_KINDS, ResultKind
from repcon_jax.records.scores import Score, plain_scores
from repcon_jax.tasks.landscape.analyses import ANALYSES, Analysis
from repcon_jax.trees import named_leaves


@ANALYSES.register("sizes")
def sizes(*, network: str, most: int = 3) -> Analysis:
    def measure(bench):
        leaves = named_leaves(bench.network(network).network.params)
        sizes = {name: leaf.size for name, leaf in list(leaves.items())[:most]}
        scores = {"size": Score("entries", higher_is_better=None)}
        return {"kind": "sizes", "title": bench.config.title, "sizes": sizes, "scores": plain_scores(scores)}

    return Analysis((network,), measure)


@RESULT_KINDS.register("sizes")
def sizes_of_leaves() -> ResultKind:
    def draw(folder, results):
        figure, panel = plt.subplots()
        panel.bar(list(results["sizes"]), list(results["sizes"].values()))
        figure.savefig(folder / "sizes.png")
        plt.close(figure)
        return [folder / "sizes.png"]

    def tables(results):
        return [[["leaf", "entries"], *([name, str(size)] for name, size in results["sizes"].items())]]

    return ResultKind(draw, tables)


def get_config(network=None):
    analysis = {"name": "sizes", "network": network, "most": 3}
    return ConfigDict({"task": "landscape", "title": "Sizes", "analysis": analysis, "metrics": ("norm",)})
'''


@pytest.mark.slow
def test_an_analysis_with_results_of_its_own_kind_is_a_file(trained, tmp_path, monkeypatch, capsys):
    (tmp_path / "sizes.py").write_text(USERS_FILE)
    workdir = tmp_path / "run"
    command = [f"--config={tmp_path}/sizes.py:{trained}/seed_0/2", f"--workdir={workdir}"]
    assert main(command) == 0
    assert "| encoder/linear1/kernel | 384" in capsys.readouterr().out
    assert (workdir / "figures" / "sizes.png").read_bytes().startswith(b"\x89PNG")
    report = (workdir / "report.md").read_text()
    assert "kind: sizes" in report
    assert "![sizes](figures/sizes.png)" in report
    assert json.loads((workdir / "results.json").read_text())["scores"]["size"]["label"] == "entries"


@pytest.mark.slow
def test_the_reference_may_be_of_another_architecture_and_another_image_size(trained, tmp_path):
    larger = DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 12}, subset=40)
    encoder = with_options(ENCODERS, "mlp", widths=(5, 4))
    other = {**vars(SUPERVISED), "data": larger, "encoder": encoder, "num_seeds": 1}
    run_experiment(ExperimentConfig(**other), tmp_path / "other")
    reference = f"{tmp_path}/other/checkpoints/seed_0/2"
    config = wrong(trained, metrics=("kl_divergence",), reference=reference, batch_norm="first")
    results = run_landscape(config, tmp_path / "landscape")
    analysis = ANALYSES.build(config.analysis.name, **config.analysis.options)
    bench = build_bench(config, tmp_path / "landscape", list(analysis.networks), (), print, lambda: 0)
    compared, images = bench.network(reference).network, bench.data.splits["train"].images
    assert compared.pixels.size == (12, 12)
    assert compared.pixels.mean != bench.template.pixels.mean
    logits = [network.apply(images)[0].logits for network in (compared, bench.network(analysis.networks[0]).network)]
    value = results["points"][0]["values"]["train/kl_divergence"]
    assert value == pytest.approx(float(kl_divergence(*logits)), rel=1e-4)
    assert results["scores"]["train/kl_divergence"]["unit"] == "nats"


@pytest.mark.slow
def test_a_loss_that_has_no_derivatives_is_refused_by_its_declaration(trained):
    with pytest.raises(ConfigError, match=r"analysis\.loss is 'error' but must be smooth"):
        config_of("curvature", points=(("a", f"{trained}/seed_0/2"),), loss="error")


@pytest.mark.slow
def test_one_network_cannot_be_several(trained, tmp_path):
    several = with_options(ANALYSES, "directions", centre="first/*/end", resolution=(2, 2))
    with pytest.raises(ConfigError, match=r"'first/\*/end' stands for 3 networks where one is needed; name a member"):
        run_landscape(wrong(trained, runs=RUNS, analysis=several), tmp_path)


@pytest.mark.slow
def test_a_star_stands_for_all_members_and_a_single_network_has_no_pair(trained, tmp_path):
    config = wrong(trained, runs=RUNS)
    assert expand("first/*/end:params", config.runs) == [f"first/seed_{i}/end:params" for i in range(3)]
    lonely = with_options(ANALYSES, "paths", groups={"lonely": (f"{trained}/seed_0/2",)})
    with pytest.raises(ConfigError, match="'lonely' with a single network"):
        run_landscape(wrong(trained, analysis=lonely), tmp_path)


def test_several_hosts_are_refused_and_each_is_told(monkeypatch, capsys, tmp_path):
    facts_sent = []
    monkeypatch.setattr("repcon_jax.machine.distributed.connect", lambda hosts, facts: facts_sent.append(facts))
    config = pathlib.Path(__file__).parents[2] / "configs" / "landscape.py"
    hosts = ["--coordinator=127.0.0.1:9", "--num_processes=2", "--process_id=0"]
    assert main([f"--config={config}:digits,mlp,small", f"--workdir={tmp_path}", *hosts]) == 2
    assert "the task of this config runs on one host" in capsys.readouterr().err
    assert "the task of this config runs on one host" in facts_sent[0]["mistake"]
