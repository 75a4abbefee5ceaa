"""What a newcomer adds: one file with the method and one with its config, in a folder of their own, nothing else."""

import json
import textwrap

import jax
import numpy as np
import pytest

from repcon_jax.__main__ import main
from repcon_jax.run.networks import load_network
from repcon_jax.training.checkpoints import Checkpoints

pytestmark = pytest.mark.slow

# What the configs below share: tiny runs on scikit-learn's digits.
PARTS = """
import dataclasses

from repcon_jax.data import SOURCES, DataConfig
from repcon_jax.models import ENCODERS, HEADS
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import with_options
from repcon_jax.probing import ProbeConfig
from repcon_jax.run.config import ExperimentConfig, TeacherConfig, plain_config
from repcon_jax.training.optimisers import OptimiserConfig


def digits(**changes):
    return DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 8}, subset=120, **changes)


SUPERVISED = ExperimentConfig(
    title="tiny",
    data=digits(),
    encoder=with_options(ENCODERS, "mlp", widths=(16,)),
    head=with_options(HEADS, "linear"),
    objective=with_options(OBJECTIVES, "supervised"),
    optimiser=OptimiserConfig(learning_rate=1e-2),
    probe=ProbeConfig(probes=(), during="none"),
    batch_size=20,
    duration="12 steps",
    log_every="4 steps",
)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A newcomer's folder, with ``write(name, text)``; what its files import is forgotten afterwards."""
    import sys

    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def write(name, text):
        (tmp_path / name).write_text(textwrap.dedent(text))
        return tmp_path / name

    write("parts.py", PARTS)
    yield write, tmp_path
    for name in set(sys.modules) - before:
        if (tmp_path / f"{name}.py").exists():
            del sys.modules[name]


def run(config, workdir, *more):
    assert main([f"--config={config}", f"--workdir={workdir}", *more]) == 0
    return json.loads((workdir / "results.json").read_text())


STUDY = """
from parts import SUPERVISED, dataclasses, digits, plain_config
from repcon_jax.tasks.study.config import MergeConfig, StudyConfig, plain_study


def study(**fields):
    runs = {
        name: plain_config(dataclasses.replace(SUPERVISED, num_seeds=2, duration=duration))
        for name, duration in (("short", "4 steps"), ("long", "12 steps"))
    }
    networks = {name: f"{name}/*/end" for name in runs}
    return plain_study(StudyConfig("tiny", networks=networks, runs=runs, targets={"digits": digits()}, **fields))
"""


def test_a_transfer_score_is_one_file(folder):
    write, where = folder
    write("study_parts.py", STUDY)
    write(
        "spread.py",
        '''
        """How far apart the classes' means are."""

        import jax
        import jax.numpy as jnp

        from repcon_jax.records.scores import Score
        from repcon_jax.transfer import TRANSFER_SCORES, TransferScore


        @TRANSFER_SCORES.register("spread")
        def spread(*, power: float = 2.0) -> TransferScore:
            """Mean over classes of the distance of their mean from that of all, to some power."""

            def value(features, labels, num_classes):
                chosen = jax.nn.one_hot(labels, num_classes)
                means = chosen.T @ features / chosen.sum(0)[:, None]
                return jnp.mean(jnp.linalg.norm(means - features.mean(0), axis=1) ** power)

            return TransferScore(value, Score("spread of classes", higher_is_better=True))
        ''',
    )
    config = write(
        "score_config.py",
        '''
        """How far apart classes are, beside a probe."""

        import spread  # noqa: F401
        from study_parts import study


        def get_config(arguments=None):
            score, probe = "transfer(score='spread(power=1.0)')", "probe(probe='knn(neighbours=3)')"
            return study(measurements={"spread": score, "probe": probe}, compared=(("spread", "probe"),))
        ''',
    )
    results = run(config, where / "out")
    spread = {mean["networks"][0]: mean for mean in results["means"] if mean["measurement"] == "spread"}
    assert results["scores"]["spread/score"]["label"] == "spread of classes"
    features, labels = embeddings(where / "out" / "runs" / "long" / "checkpoints" / "seed_0" / "12")
    means = np.stack([features[labels == label].mean(0) for label in range(10)])
    expected = np.mean(np.linalg.norm(means - features.mean(0), axis=1))
    values = {row["seed"]: row["value"] for row in spread["long"]["values"]}
    assert values[0] == pytest.approx(expected, rel=1e-4)
    assert "spread of classes" in (where / "out" / "report.md").read_text()


def embeddings(checkpoint):
    """Embeddings and labels of the training examples, by the network of a checkpoint."""
    from repcon_jax.data import SOURCES, DataConfig, prepare_splits

    train = prepare_splits(
        DataConfig("digits", options=SOURCES.options("digits") | {"image_size": 8}, subset=120)
    ).train
    outputs, _ = load_network(str(checkpoint)).apply(train.images)
    return np.asarray(outputs.embedding), np.asarray(train.labels)


def test_a_merging_method_is_one_file(folder):
    write, where = folder
    write("study_parts.py", STUDY)
    write(
        "heads_of_last.py",
        '''
        """The average of the encoders under the last network's head."""

        from repcon_jax.merging import MERGING_METHODS
        from repcon_jax.trees import combine


        @MERGING_METHODS.register("heads_of_last")
        def heads_of_last():
            """Averages encoders and keeps the last head."""

            def merge(networks):
                share = [1 / len(networks)] * len(networks)
                encoder = combine([network.params["encoder"] for network in networks], share)
                last = networks[-1]
                return last.replace(params={**last.params, "encoder": encoder})

            return merge
        ''',
    )
    config = write(
        "merge_config.py",
        '''
        """A merged network beside what it was merged from."""

        import heads_of_last  # noqa: F401
        from study_parts import MergeConfig, study


        def get_config(arguments=None):
            return study(
                measurements={"distance": "distance", "probe": "probe(probe='knn(neighbours=3)')"},
                merges={"merged": MergeConfig(("short", "long"), "heads_of_last")},
                baseline="long",
                claims=("probe: merged - long > 0.9",),
            )
        ''',
    )
    results = run(config, where / "out")
    means = {tuple(m["networks"]): m["mean"] for m in results["means"] if m["score"] == "euclidean"}
    # The merged encoder lies in the middle.
    assert means["short", "merged"] == pytest.approx(means["short", "long"] / 2, rel=1e-4)
    assert means["long", "merged"] == pytest.approx(means["short", "long"] / 2, rel=1e-4)
    assert {row["network"] for row in results["differences"]} == {"short", "merged"}
    assert [row["verdict"] for row in results["claims"]] == ["fails"]


def test_an_adapter_on_a_frozen_transformer_is_one_file(folder):
    write, where = folder
    write(
        "scales.py",
        '''
        """A factor for every output of chosen kernels."""

        from dataclasses import dataclass

        import jax.numpy as jnp

        from repcon_jax.adapters import ADAPTERS
        from repcon_jax.trees import map_named, named_leaves


        @dataclass(frozen=True)
        class Scales:
            kernels: str

            def init(self, key, params):
                chosen = {name: leaf for name, leaf in named_leaves(params).items() if self.kernels in name}
                return {name: jnp.ones(leaf.shape[-1]) for name, leaf in chosen.items()}

            def merge(self, params, small):
                return map_named(lambda name, leaf: leaf * small[name] if name in small else leaf, params)


        @ADAPTERS.register("scales")
        def scales(*, kernels: str = "query_key_value/kernel") -> Scales:
            """Multiplies the outputs of kernels by trained factors."""
            return Scales(kernels)
        ''',
    )
    config = write(
        "adapter_config.py",
        '''
        """A transformer pre-trained, then adapted with its backbone frozen."""

        import scales  # noqa: F401
        from parts import ENCODERS, OBJECTIVES, SUPERVISED, OptimiserConfig, dataclasses, plain_config, with_options
        from repcon_jax.adapters import ADAPTERS

        VIT = with_options(ENCODERS, "vit_tiny", depth=1, patch_size=4)


        def get_config(arguments=None):
            run = dataclasses.replace(SUPERVISED, encoder=VIT, duration="4 steps")
            if arguments == "pretrain":
                return plain_config(run)
            rules = (("^encoder/backbone/", "set(frozen='always')"), (".*", "default"))
            return plain_config(
                dataclasses.replace(
                    run,
                    adapter=with_options(ADAPTERS, "scales"),
                    objective=with_options(OBJECTIVES, "supervised", start="checkpoint", checkpoint=arguments),
                    optimiser=OptimiserConfig(learning_rate=1e-2, rules=rules),
                )
            )
        ''',
    )
    run(f"{config}:pretrain", where / "pretrained")
    checkpoint = where / "pretrained" / "checkpoints" / "seed_0" / "4"
    run(f"{config}:{checkpoint}", where / "adapted")
    checkpoints = Checkpoints(where / "adapted" / "checkpoints" / "seed_0", read_only=True)
    end = checkpoints.restore_parts(4, ("params", "opt_state"))
    backbone, _ = load_network(str(checkpoint)).params["encoder"], checkpoints.close()
    for kept, given in zip(*map(jax.tree.leaves, (end["params"]["encoder"]["backbone"], backbone)), strict=True):
        np.testing.assert_array_equal(kept, given)
    (factors,) = end["params"]["encoder"]["adapter"].values()
    assert np.any(factors != 1)
    # Adam's two averages of the factors and of the head, and of nothing else.
    sizes = sum(leaf.size for leaf in jax.tree.leaves(end["opt_state"]) if np.ndim(leaf))
    assert sizes == 2 * (factors.size + sum(leaf.size for leaf in jax.tree.leaves(end["params"]["head"])))


def test_an_objective_with_two_unlike_teachers_is_one_file(folder):
    write, where = folder
    write(
        "two_teachers.py",
        '''
        """One student with a head for each of its teachers."""

        import jax
        import jax.numpy as jnp

        from repcon_jax import losses
        from repcon_jax.objectives import OBJECTIVES
        from repcon_jax.objectives.starting import with_own_buffers
        from repcon_jax.random import stream
        from repcon_jax.training.step import Objective


        @OBJECTIVES.register("two_teachers")
        def two_teachers(context, *, temperature: float = 1.0) -> Objective:
            """The mean over teachers of KL(teacher, student's head of that name), on unlabelled images."""

            def start(key, images, scalars):
                teachers = {name: with_own_buffers(teacher) for name, teacher in context.teachers.items()}
                return (*context.model.init(stream(key, "student"), images), {"teachers": teachers})

            def divergences(inputs, images, train):
                student = context.network(inputs.params, inputs.model_state)
                (_, logits), state = student.apply(images, train)
                teachers = inputs.carried["teachers"]
                targets = {name: teacher.apply(images)[0].logits for name, teacher in teachers.items()}
                pairs = {name: (targets[name], logits[name], temperature, temperature) for name in targets}
                return {name: losses.kl_divergences(*pair) for name, pair in pairs.items()}, state

            def loss(inputs):
                by_teacher, state = divergences(inputs, inputs.batch.views[0], True)
                metrics = {f"kl_{name}": jnp.mean(values) for name, values in by_teacher.items()}
                return sum(metrics.values()) / len(metrics), (state, inputs.carried, metrics)

            def evaluate(inputs):
                return {f"kl_{name}": v for name, v in divergences(inputs, inputs.batch.views[0], False)[0].items()}

            def networks(inputs):
                student = context.network(inputs.params, inputs.model_state)
                return {**inputs.carried["teachers"], "student": student}

            return Objective(start, loss, evaluate, networks, changing=("student",), constant=("teachers",))
        ''',
    )
    config = write(
        "teachers_config.py",
        '''
        """Two experts on other images, and their student on proxy images without labels."""

        import two_teachers  # noqa: F401
        from parts import (
            ENCODERS, HEADS, OBJECTIVES, SOURCES, SUPERVISED, DataConfig, ProbeConfig, TeacherConfig, dataclasses,
            plain_config, with_options,
        )

        SCENES = DataConfig("scenes", options=SOURCES.options("scenes") | {"image_size": 16, "num_examples": 120})


        def get_config(arguments=None):
            if arguments == "digits":
                return plain_config(SUPERVISED)
            convnet = with_options(ENCODERS, "convnet", width=0.1, num_stages=2)
            if arguments == "scenes":
                return plain_config(dataclasses.replace(SUPERVISED, data=SCENES, encoder=convnet))
            folder = arguments
            steps = {"digits": 12, "scenes": 12}
            teachers = {
                name: TeacherConfig(f"{folder}/{name}/checkpoints/seed_0/{step}") for name, step in steps.items()
            }
            return plain_config(
                dataclasses.replace(
                    SUPERVISED,
                    data=dataclasses.replace(SUPERVISED.data, image_size=12),
                    objective=with_options(OBJECTIVES, "two_teachers"),
                    head=None,
                    heads={name: with_options(HEADS, "linear") for name in teachers},
                    teachers=teachers,
                    probe=ProbeConfig(probes=("knn(neighbours=3)",), during="none"),
                    duration="30 steps",
                )
            )
        ''',
    )
    for name in ("digits", "scenes"):
        run(f"{config}:{name}", where / name)
    results = run(f"{config}:{where}", where / "student")
    assert set(results["probe"]) == {"input", "digits", "scenes", "student"}
    folder = where / "student" / "checkpoints" / "seed_0"
    student = load_network(str(folder / "30"))
    outputs, _ = student.apply(np.zeros((2, 12, 12, 1), np.uint8))
    experts = {name: load_network(str(where / name / "checkpoints" / "seed_0" / "12")) for name in ("digits", "scenes")}
    images = np.random.default_rng(0).integers(0, 256, (3, 12, 12, 1)).astype(np.uint8)
    for name, expert in experts.items():
        kept = load_network(str(folder / "30"), f"teachers/{name}")
        logits = expert.apply(images)[0].logits
        assert outputs.logits[name].shape == (2, logits.shape[-1])
        np.testing.assert_array_equal(kept.apply(images)[0].logits, logits)
    assert experts["digits"].pixels != experts["scenes"].pixels
    rows = [json.loads(line) for line in (where / "student" / "metrics.jsonl").read_text().splitlines()]
    train = [row["loss"] for row in rows if row["kind"] == "train" and "loss" in row]
    assert train[-1] < 0.8 * train[0]
