"""All contact with our library: the things that are measured, each with ``steps(n)`` that waits until they are done."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from experiments.benchmarks.flops import matmul_flops
from experiments.benchmarks.inputs import MEAN, STD, images
from repcon_jax.config import ExperimentConfig, with_options
from repcon_jax.data import DataConfig
from repcon_jax.models import ENCODERS, HEADS, attach_head, create_encoder, create_head
from repcon_jax.models.model import parameter_count
from repcon_jax.objectives import OBJECTIVES
from repcon_jax.probing import PROBES, ProbeConfig, extract_features
from repcon_jax.problem import Problem, build_problem
from repcon_jax.training.optimisers import OptimiserConfig
from repcon_jax.trees import named_leaves


def problem_of(encoder: str, batch_size: int, outputs: int, num_images: int, dtype: str = "float32") -> Problem:
    """The library's problem for the step that is compared: random teacher, independent student, AdamW."""
    config = ExperimentConfig(
        title="benchmark",
        encoder=with_options(ENCODERS, encoder, dtype=dtype),
        head=with_options(HEADS, "projector", output_size=outputs, dtype=dtype),
        objective=with_options(OBJECTIVES, "distillation", start="independent"),
        data=DataConfig("gaussian_noise", options={"num_examples": num_images}, holdout=0.0),
        optimiser=OptimiserConfig(),
        probe=ProbeConfig(probes=(), during="none"),
        batch_size=batch_size,
        duration="1000000 epochs",
    )
    return build_problem(config)


def step_flops(problem: Problem) -> int:
    """Operations of the matrix products and convolutions of one step of one member; nothing is compiled."""
    key = jax.random.key(0)
    return matmul_flops(problem.chunk, jax.eval_shape(problem.initial_state, key), jnp.int32(1), key)


class Training:
    """A population's training run that can be advanced by any number of steps."""

    def __init__(
        self,
        encoder: str,
        batch_size: int,
        outputs: int,
        num_images: int,
        dtype: str = "float32",
        members: int = 1,
        alphas: int = 1,
        devices: int = 1,
        data_devices: int = 1,
    ) -> None:
        """Puts images and the members' states on the devices; compiles at the first step.

        Args:
            encoder: registered name.
            batch_size: images per step of each member.
            outputs: of the head.
            num_images: size of the data set.
            dtype: of the computation.
            members: seeds that are trained together in one program.
            alphas: as many times more.
            devices: over which the members are laid; divides them.
            data_devices: over which each batch is laid.
        Raises:
            NotImplementedError: the batch shall be laid over several devices.
        """
        if data_devices > 1:
            raise NotImplementedError("the axis data is not built yet")
        members *= alphas
        self.problem = problem_of(encoder, batch_size, outputs, num_images, dtype)
        self.chunk, initial_state = self.problem.chunk, self.problem.initial_state
        self.keys = jax.random.key(0)
        if members > 1:
            self.keys = _laid_over(devices, jax.random.split(self.keys, members))
            self.chunk = jax.vmap(self.chunk, in_axes=(0, None, 0))
            initial_state = jax.jit(jax.vmap(initial_state))
        self.state = initial_state(self.keys)
        self.done, self.compiled = 0, None

    def steps(self, n: int) -> None:
        """Makes ``n`` steps of every member and waits for them; a chunk may not lead beyond an epoch's end."""
        per_epoch, metrics = self.problem.clock.steps_per_epoch, {}
        while n:
            now = min(n, per_epoch - self.done % per_epoch)
            self.state, metrics = self._program()(self.state, jnp.int32(now), self.keys)
            self.done, n = self.done + now, n - now
        jax.block_until_ready(self.state)
        if not np.isfinite(np.asarray(metrics["loss"])).all():
            raise ValueError("the loss became NaN or infinite.")

    def about(self) -> dict[str, Any]:
        """What does not change from turn to turn."""
        memory = self._program().memory_analysis()
        members = max(1, self.keys.size)
        return {
            "parameters": parameter_count(self.state.params) // members,
            "step_flops": step_flops(self.problem),
            "program_bytes": {
                "arguments": memory.argument_size_in_bytes,
                "outputs_not_aliased": memory.output_size_in_bytes - memory.alias_size_in_bytes,
                "temporary": memory.temp_size_in_bytes,
            },
        }

    def peak_bytes(self) -> int | None:
        """Peak memory of the first device; None where it keeps no count, as a CPU."""
        return device_peak_bytes()

    def _program(self) -> Callable[..., Any]:
        if self.compiled is None:
            arguments = (self.state, jnp.int32(0), self.keys)
            self.compiled = jax.jit(self.chunk, donate_argnums=0).lower(*arguments).compile()
        return self.compiled


def device_peak_bytes() -> int | None:
    """The most memory that the first device held."""
    return (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")


def _laid_over(devices: int, keys: jax.Array) -> jax.Array:
    mesh = jax.make_mesh((devices,), ("member",), axis_types=(AxisType.Auto,), devices=jax.devices()[:devices])
    return jax.device_put(keys, NamedSharding(mesh, PartitionSpec("member")))


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
            return np.asarray(self.model.apply(*self.variables, jnp.asarray(batch), train)[0].logits)


class Features:
    """Embeddings of images by a frozen encoder, batch by batch."""

    def __init__(self, encoder: str, batch_size: int) -> None:
        """Puts the encoder on the device; the images stay on the host."""
        self.encoder, self.batch_size = create_encoder(encoder), batch_size
        self.pixels = images(batch_size)
        self.variables = jax.jit(self.encoder.init)(jax.random.key(0), jnp.zeros((1, 32, 32, 3)))

    def steps(self, n: int) -> None:
        """Embeds ``n`` batches."""
        pixels = np.concatenate([self.pixels] * n)
        statistics = np.float32(MEAN), np.float32(STD)
        features = extract_features(self.encoder.apply, *self.variables, pixels, *statistics, self.batch_size)
        jax.block_until_ready(features)


class Probe:
    """A probe by name, fitted to random features and labels."""

    def __init__(self, name: str, train: int, test: int, features: int) -> None:
        """Draws features and labels."""
        self.probe = PROBES.build(name)
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
