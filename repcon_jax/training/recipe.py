"""How the members of a population are started and trained, each written as if it were alone."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jax.sharding import Mesh
from jaxtyping import Array

from repcon_jax.training.durations import Clock
from repcon_jax.training.lifting import Values
from repcon_jax.training.loop import TrainData, make_batch, run_chunk
from repcon_jax.training.partition import Paths
from repcon_jax.training.schedules import Schedule
from repcon_jax.training.step import Inputs, Objective, TrainState, build_step, create_state, scalars_at
from repcon_jax.typing import Metrics, PyTree


@struct.dataclass
class MemberValues:
    """What the members of a population differ in.

    Args:
        seeds: int32 [seeds].
        values: the entry ``point``, numbering the points, and for every scalar that differs its value at each point,
            [points].
    """

    seeds: PyTree
    values: dict[str, PyTree]


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How every member is started and trained.

    Args:
        objective: what is minimised.
        schedules: values of one member, traced -> the schedules of the objective's scalars.
        optimiser: likewise -> the optimiser of what is trained.
        data: the training set, placed on the mesh.
        clock: length of the run and of an epoch.
        example: shape of a batch of images, for initialisation.
        accumulation: see ``build_step``.
        mesh: the devices.
        rules: what is sharded over the axis ``data``, see ``MeshConfig``.
        sequential: whether members are trained one after the other within the program, see ``MeshConfig``.
        remembers: whether what the objective can remember of the examples is computed once for the run.
        frozen: paths of the parameters that stand still.
    """

    objective: Objective
    schedules: Callable[[Values], dict[str, Schedule]]
    optimiser: Callable[[Values], optax.GradientTransformation]
    data: TrainData
    clock: Clock
    example: tuple[int, ...]
    accumulation: int
    mesh: Mesh
    rules: tuple[tuple[str, str], ...]
    sequential: bool = False
    remembers: bool = False
    frozen: Paths = frozenset()

    def initial_state(self, seed: Array, values: Values) -> TrainState:
        """The state of one member before its first step."""
        key, images = jax.random.key(seed), jnp.zeros(self.example)
        return create_state(
            self.objective, self.optimiser(values), key, images, self.schedules(values), frozen=self.frozen
        )

    def chunk(
        self, data: TrainData, state: TrainState, num_steps: Array, seed: Array, values: Values
    ) -> tuple[TrainState, Metrics]:
        """Steps of one member, see ``run_chunk``."""
        step = build_step(
            self.objective,
            self.optimiser(values),
            self.accumulation,
            schedules=self.schedules(values),
            frozen=self.frozen,
        )
        return run_chunk(step, self.clock, data, state, num_steps, jax.random.key(seed))

    def remember(self, data: TrainData, carried: PyTree, first: Array, values: Values) -> PyTree:
        """What the objective of one member remembers of a batch of consecutive examples, see ``Objective``."""
        # Beyond the last example gather repeats it. The views are the same for every key.
        batch = make_batch(data, first + jnp.arange(self.clock.batch_size), jax.random.key(0))
        scalars = scalars_at(self.schedules(values), 0)
        return self.objective.remember(Inputs({}, {}, carried, jnp.int32(0), scalars, batch))


def first_member(members: MemberValues) -> tuple[Any, Values]:
    """Seed and values of the first member."""
    return members.seeds[0], {name: values[0] for name, values in members.values.items()}
