"""All contact with our library: the things that are measured, each with ``steps(n)`` that waits until they are done."""

import dataclasses
import functools
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.flops import matmul_flops
from benchmarks.inputs import MEAN, STD, images
from repcon_jax import models
from repcon_jax.data import DataConfig
from repcon_jax.landscape import Evaluation, LandscapeData, Split, build_metric, plane_through
from repcon_jax.landscape.surfaces import on_plane
from repcon_jax.models import ENCODERS, HEADS, Pixels, attach_head, create_encoder, create_head
from repcon_jax.models.model import parameter_count
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.options.choices import with_options
from repcon_jax.probing import PROBES, ProbeConfig, extract_features
from repcon_jax.run.config import ExperimentConfig
from repcon_jax.run.experiment import Experiment, build_experiment
from repcon_jax.run.members import Group, points_of, seeds_of
from repcon_jax.training.mesh import MeshConfig
from repcon_jax.training.optimisers import OptimiserConfig
from repcon_jax.training.population import compile_population
from repcon_jax.training.recipe import MemberValues
from repcon_jax.trees import named_leaves


def experiment_of(
    encoder: str,
    batch_size: int,
    outputs: int,
    num_images: int,
    dtype: str = "float32",
    members: int = 1,
    alphas: int = 1,
    devices: int = 1,
    data_devices: int = 1,
    direct: bool = False,
    remember: bool = True,
) -> Experiment:
    """The library's experiment for the step that is compared: random teacher, independent student, AdamW.

    Args:
        encoder: registered name.
        batch_size: images per step of each member.
        outputs: of the head.
        num_images: size of the data set.
        dtype: of the computation.
        members: seeds that are trained together, each with its own teacher and data order.
        alphas: values of the locality that share these; there are ``members * alphas`` runs then.
        devices: over which the members are laid.
        data_devices: over which each batch is laid.
        direct: whether convolutions are XLA's own and not those that are fastest here.
        remember: whether the teacher's embeddings are computed once and not in every step.
    """
    of_encoder = {"dtype": dtype}
    if direct and "convolution" in ENCODERS.options(encoder):
        of_encoder["convolution"] = "xla"
    localities = tuple(np.linspace(0, 1, alphas).tolist()) if alphas > 1 else (1.0,)
    config = ExperimentConfig(
        title="benchmark",
        encoder=with_options(ENCODERS, encoder, **of_encoder),
        head=with_options(HEADS, "projector", output_size=outputs, dtype=dtype),
        objective=with_options(OBJECTIVES, "distillation", locality=localities[0], remember_teacher=remember),
        data=DataConfig("gaussian_noise", options={"num_examples": num_images}, holdout=0.0),
        optimiser=OptimiserConfig(),
        probe=ProbeConfig(probes=(), during="none"),
        num_seeds=members,
        population={"locality": localities} if alphas > 1 else {},
        mesh=MeshConfig(member=devices, data=data_devices),
        batch_size=batch_size,
        duration="1000000 epochs",
    )
    return build_experiment(config)


def members_of(experiment: Experiment) -> MemberValues:
    """All members of an experiment as one group."""
    return experiment.members(Group(seeds_of(experiment.config), tuple(range(len(points_of(experiment.config))))))


def step_flops(**options: Any) -> int:
    """Operations of the matrix products and convolutions of one step of one member; nothing is compiled.

    Those of convolutions as they are defined: an algorithm that needs fewer is faster, not lazier.

    Args:
        **options: see ``experiment_of``.
    """
    experiment = experiment_of(**options, direct=True)
    recipe, members, data = experiment.recipe, members_of(experiment), experiment.recipe.data
    seed, values = member = members.seeds[0], {name: column[0] for name, column in members.values.items()}
    state = jax.eval_shape(recipe.initial_state, *member)
    if recipe.remembers:
        batch = jax.eval_shape(recipe.remember, data, state.carried, jnp.int32(0), values)
        enlarged = lambda leaf: jax.ShapeDtypeStruct((len(data.images), *leaf.shape[1:]), leaf.dtype)  # noqa: E731
        data = dataclasses.replace(data, remembered=jax.tree.map(enlarged, batch))
    return matmul_flops(recipe.chunk, data, state, jnp.int32(1), seed, values)


class Training:
    """A population's training run that can be advanced by any number of steps."""

    def __init__(self, **options: Any) -> None:
        """Puts the images on the devices; compiles and draws the start at the first step.

        Args:
            **options: see ``experiment_of``.
        """
        self.options, self.experiment = options, experiment_of(**options)
        self.members = members_of(self.experiment)
        self.done, self.population, self.state, self.data = 0, None, None, None

    def steps(self, n: int) -> None:
        """Makes ``n`` steps of every member and waits for them; a chunk may not lead beyond an epoch's end."""
        if self.population is None:
            self.population = compile_population(self.experiment.recipe, self.members)
            self.state = self.population.initial_state(self.members)
            self.data = self.population.data_with(self._remembered())
        per_epoch, metrics = self.experiment.clock.steps_per_epoch, {}
        while n:
            now = min(n, per_epoch - self.done % per_epoch)
            self.state, metrics = self.population.chunk(self.data, self.state, now, self.members)
            self.done, n = self.done + now, n - now
        jax.block_until_ready(self.state)
        if not np.isfinite(np.asarray(metrics["loss"])).all():
            raise ValueError("the loss became NaN or infinite.")

    def _remembered(self) -> Any:
        """As if of all images: that of the first batch, again and again; how fast a step is does not depend on it."""
        batch, places = self._remember_batch(), np.arange(len(self.experiment.recipe.data.images))
        return jax.tree.map(lambda leaf: np.asarray(leaf)[:, places % self.options["batch_size"]], batch)

    def _remember_batch(self) -> Any:
        population = self.population
        if population.remember is None:
            return None
        return jax.block_until_ready(population.remembered_batch(self.state, self.members, 0))

    def about(self) -> dict[str, Any]:
        """What does not change from turn to turn."""
        memory = self.population.compiled.memory_analysis()
        return {
            "parameters": parameter_count(self.population.template.params),
            "step_flops": step_flops(**self.options),
            "program_bytes": {
                "arguments": memory.argument_size_in_bytes,
                "outputs_not_aliased": memory.output_size_in_bytes - memory.alias_size_in_bytes,
                "temporary": memory.temp_size_in_bytes,
            },
        }

    def about_at_the_end(self) -> dict[str, Any]:
        """What is measured while no other competitor works: seconds per image to compute what is remembered."""
        began = time.monotonic()
        batch = self._remember_batch()
        seconds = (time.monotonic() - began) / self.options["batch_size"]
        return {"remember_seconds_per_image": None if batch is None else seconds}

    def peak_bytes(self) -> int | None:
        """Peak memory of the first device; None where it keeps no count, as a CPU."""
        return device_peak_bytes()


def device_peak_bytes() -> int | None:
    """The most memory that the first device held."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


class Network:
    """A fresh encoder with its head, for the comparison with PyTorch's."""

    def __init__(self, encoder: str, outputs: int) -> None:
        """Draws the parameters."""
        self.model = attach_head(create_encoder(encoder), create_head("projector", output_size=outputs))
        self.variables = jax.jit(self.model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))

    def arrays(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Parameters and model state by path."""
        params, model_state = ({k: np.asarray(v) for k, v in named_leaves(tree).items()} for tree in self.variables)
        return params, model_state

    def logits(self, batch: np.ndarray, train: bool) -> np.ndarray:
        """Logits for normalised images [batch, 32, 32, 3]."""
        with jax.default_matmul_precision("highest"):
            outputs, _ = jax.jit(self.model.apply, static_argnums=3)(*self.variables, jnp.asarray(batch), train)
        return np.asarray(outputs.logits)


class Features:
    """Embeddings of images by a frozen encoder, batch by batch."""

    def __init__(self, encoder: str, batch_size: int) -> None:
        """Puts the encoder on the device; the images stay on the host."""
        model, self.batch_size, self.images = create_encoder(encoder), batch_size, images(batch_size)
        variables = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))
        self.network = models.Network(*variables, model, Pixels(MEAN, STD))

    def steps(self, n: int) -> None:
        """Embeds ``n`` batches."""
        jax.block_until_ready(extract_features(self.network, np.concatenate([self.images] * n), self.batch_size))


class Landscape:
    """KL to the first of three networks at points of the plane through them."""

    def __init__(self, encoder: str, batch_size: int, outputs: int, points: int) -> None:
        """Puts networks and two batches of images on the device; compiles at the first step."""
        model = attach_head(create_encoder(encoder), create_head("projector", output_size=outputs))
        draw = jax.jit(model.init)
        networks = [draw(jax.random.key(i), jnp.zeros((1, 32, 32, 3))) for i in range(3)]
        self.surface = plane_through(*(params for params, _ in networks)), (networks[0][1],)
        split = Split(jnp.asarray(images(2 * batch_size)), None)
        pixels = Pixels(tuple(MEAN), tuple(STD))
        calibration = split.images[None, :batch_size]
        reference = models.Network(*networks[0], model, pixels)
        self.data = LandscapeData({"train": split}, calibration, reference, jax.random.key(0))
        self.coordinates = jnp.asarray(np.random.default_rng(0).random((points, 2)), jnp.float32)
        metrics = (("kl_divergence", build_metric("kl_divergence")),)
        options = {"batch_norm": "first", "batch_size": batch_size}
        vectorised = 1 if jax.default_backend() == "cpu" else points
        self.evaluate = jax.jit(Evaluation(model, pixels, on_plane, metrics, vectorised=vectorised, **options).evaluate)

    def steps(self, n: int) -> None:
        """Measures all points ``n`` times."""
        for _ in range(n):
            values = jax.block_until_ready(self.evaluate(self.surface, self.data, self.coordinates))
        if not np.isfinite(np.asarray(values["train/kl_divergence"])).all():
            raise ValueError("a divergence became NaN or infinite.")


class Probe:
    """A probe by name, fitted to random features and labels."""

    def __init__(self, name: str, train: int, test: int, features: int) -> None:
        """Draws features and labels."""
        self.probe = PROBES.build(name).fit_and_score
        self.data = probe_data(train, test, features)

    def steps(self, n: int) -> None:
        """Fits and scores ``n`` times."""
        for i in range(n):
            jax.block_until_ready(self.probe(*self.data, 10, jax.random.key(i))[0])


def probe_data(train: int, test: int, features: int) -> tuple[jax.Array, ...]:
    """Training features and labels, test features and labels."""
    rng = np.random.default_rng(0)
    parts = []
    for count in (train, test):
        parts.append(jnp.asarray(rng.standard_normal((count, features), np.float32)))
        parts.append(jnp.asarray(rng.integers(0, 10, count), jnp.int32))
    return tuple(parts)


class Matmul:
    """Square matrix products in a chain."""

    def __init__(self, size: int, dtype: str) -> None:
        """Draws the factors; a factor 1 / sqrt(size) keeps the chain's values of one size.

        Args:
            size: side of the matrices.
            dtype: ``float32`` (in full), ``tf32`` or ``bfloat16``.
        """
        kind = jnp.bfloat16 if dtype == "bfloat16" else jnp.float32
        keys = jax.random.split(jax.random.key(0))
        self.left = jax.random.normal(keys[0], (size, size)).astype(kind)
        self.right = (jax.random.normal(keys[1], (size, size)) * size**-0.5).astype(kind)
        precision = "highest" if dtype == "float32" else "default"
        self.product = jax.jit(functools.partial(jnp.matmul, precision=precision))

    def steps(self, n: int) -> None:
        """``n`` products."""
        x = self.left
        for _ in range(n):
            x = self.product(x, self.right)
        jax.block_until_ready(x)
