"""What eight simulated devices compute, against one of them; prints the largest difference of every case as JSON.

A program of its own, because the number of devices is fixed when JAX starts.
"""

import dataclasses
import json
import pathlib
import tempfile
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType
from lotteries import TRAINING
from lotteries import config_of as config_of_lottery

from repcon_jax.data import channel_statistics, load
from repcon_jax.landscape.evaluation import Evaluation, LandscapeData, Split
from repcon_jax.landscape.metric import build_metric
from repcon_jax.landscape.planes import grid, plane_through
from repcon_jax.landscape.surfaces import on_plane
from repcon_jax.models import Network, Pixels, attach_head, create_encoder, create_head
from repcon_jax.probing import extract_features
from repcon_jax.run.command_line import read_arguments
from repcon_jax.run.config import plain_config
from repcon_jax.run.experiment import build_experiment
from repcon_jax.run.members import plan_groups, points_of, seeds_of
from repcon_jax.tasks.lottery.config import Chain
from repcon_jax.tasks.lottery.rounds import ends
from repcon_jax.tasks.lottery.run import run_lottery
from repcon_jax.training.mesh import MeshConfig
from repcon_jax.training.population import compile_population

CONFIG = str(pathlib.Path(__file__).parents[1] / "configs" / "random_teacher.py")
SMALL = [
    "--workdir=unused",
    "--config.data.options.image_size=8",
    "--config.data.subset=64",
    "--config.head.hidden_sizes=(8,)",
    "--config.head.output_size=16",
    "--config.batch_size=16",
    "--config.duration=8 steps",
    "--config.optimiser.name=sgd",
    "--config.optimiser.learning_rate=1e-2",
    "--config.probe.probes=()",
]
OPTIONS = {
    "mlp": ("widths=(8,)", "normalisation=batch"),
    "resnet20": ("blocks=(1,1)", "width=0.5", "convolution=xla"),
}


def config_of(encoder: str, *extra: str):
    options = [f"--config.encoder.{option}" for option in OPTIONS[encoder]]
    return read_arguments([f"--config={CONFIG}:digits,{encoder}", *SMALL, *options, *extra])[0]


def trained(config, mesh: MeshConfig):
    """Parameters, metrics, test metrics and features after four steps, and the program."""
    experiment = build_experiment(dataclasses.replace(config, mesh=mesh))
    axes = experiment.recipe.mesh.shape
    (group,) = plan_groups(seeds_of(config), len(points_of(config)), experiment.size, axes["member"])
    members = experiment.members(group)
    program = compile_population(experiment.recipe, members)
    state = program.initial_state(members)
    data = program.data_with(program.remembered(state, members))
    state, metrics = program.chunk(data, state, 4, members)
    member = program.member(state, len(seeds_of(config)) - 1, len(points_of(config)) - 1)
    test = experiment.evaluate(group, len(points_of(config)) - 1, member)
    images = np.asarray(experiment.test[0])[:37]
    # On one device as a caller without a mesh would: from arrays that lie anywhere.
    mesh = experiment.recipe.mesh if experiment.recipe.mesh.size > 1 else None
    encoder = experiment.networks(member)["student"].encoder
    features = extract_features(encoder if mesh else jax.tree.map(jnp.asarray, encoder), images, 16, mesh)
    numbers = {name: np.asarray(values)[:, : len(points_of(config)), :4] for name, values in metrics.items()}
    return {"params": member.params, "metrics": numbers, "test": test, "features": features}, program, state


def difference(first, second) -> float:
    pairs = zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True)
    return max(float(np.max(np.abs(np.float64(a) - np.float64(b)))) for a, b in pairs)


def main() -> dict[str, float]:
    differences = {}
    one = MeshConfig(member=1, data=1)
    grid = ("--config.population.seed=[0,1]", "--config.population.locality=[0.2,0.6]")
    cases = {
        "batch over 8": ("mlp", (), MeshConfig()),
        "batch over 8, convolutions and batch norm": ("resnet20", (), MeshConfig()),
        "everything sharded": ("mlp", (), MeshConfig(parameters="sharded")),
        "accumulated": ("mlp", ("--config.accumulation=2",), MeshConfig()),
        "population over 4 x 2, sharded": (
            "mlp",
            (*grid, "--config.population.seed=[0,1,2,3]"),
            MeshConfig(parameters=(("head/.*kernel", "sharded"), (".*", "replicated"))),
        ),
        "three points over 2 x 4": ("mlp", ("--config.population.locality=[0.2,0.6,1.0]",), MeshConfig(member=2)),
    }
    alone = cache(lambda encoder, extra: trained(config_of(encoder, *extra), one)[0])
    for name, (encoder, extra, mesh) in cases.items():
        many, program, state = trained(config_of(encoder, *extra), mesh)
        differences[name] = difference(alone(encoder, extra), many)
        if name == "everything sharded":
            kernel = state.params["head"]["hidden1"]["kernel"]
            differences["fraction of a sharded kernel on one device"] = (
                kernel.addressable_shards[0].data.size / kernel.size
            )
            host = jax.device_get(program.member(state, 0, 0))
            differences["put back from the host"] = difference(program.join([[host]]), state)
    differences["points of a landscape"] = landscape()
    differences["rounds of a lottery"] = lottery()
    return differences


def landscape() -> float:
    """Metrics of every kind at 16 points of a plane, two on each device, against one device."""
    model = attach_head(create_encoder("mlp", widths=(8,), normalisation="batch"), create_head("linear", num_classes=3))
    digits = load("digits", image_size=4)
    images, labels = digits.images[:48], jnp.asarray(digits.labels[:48] % 3)
    networks = [jax.jit(model.init)(jax.random.key(i), jnp.zeros((1, 4, 4, 1))) for i in range(3)]
    pixels = Pixels(*(tuple(map(float, channels)) for channels in channel_statistics(digits)))
    data = LandscapeData(
        {"train": Split(images, labels), "test": Split(images[:20], labels[:20])},
        images.reshape(3, 16, 4, 4, 1),
        Network(*networks[0], model, pixels),
        jax.random.key(0),
    )
    metrics = tuple((text, build_metric(text)) for text in ("kl_divergence", "error", "linear", "norm"))
    surface = plane_through(*(params for params, _ in networks)), (networks[0][1],)
    coordinates = grid((-1.0, 1.0, -1.0, 1.0), (4, 4))
    alone = Evaluation(model, pixels, on_plane, metrics, num_classes=3, batch_size=16)
    mesh = jax.make_mesh((8,), ("points",), (AxisType.Auto,))
    many = dataclasses.replace(alone, mesh=mesh, vectorised=2)
    return difference(*(jax.jit(e.evaluate)(surface, data, coordinates) for e in (alone, many)))


def lottery() -> float:
    """Where the pruned rounds of two chains end, and the errors on the way between two trainings of their tickets."""
    chains = {"magnitude": Chain(), "snip": Chain(criterion="snip", pruned="before_training")}
    study = "instability(num_points=3)"
    outcomes = []
    for mesh in (MeshConfig(member=1, data=1), MeshConfig()):
        training = dataclasses.replace(TRAINING, batch_size=16, duration="4 steps", mesh=mesh)
        values = {"training": plain_config(training), "runs": {}, "chains": chains, "studied_rounds": (1,)}
        config = config_of_lottery(**values, schedule="one_shot(density=0.5)", studies=(study,))
        with tempfile.TemporaryDirectory() as folder:
            results = run_lottery(config, pathlib.Path(folder), lambda line: None)
            rounds = [ends(pathlib.Path(folder) / "rounds" / name / "01", (0, 1)) for name in chains]
        errors = [entry["supervised_loss"]["values"] for entry in results["studies"][study]["entries"]]
        outcomes.append((rounds, errors))
    return difference(*outcomes)


if __name__ == "__main__":
    print(json.dumps(main()))
