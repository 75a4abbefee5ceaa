"""Training a curve of low loss between two networks: its ends are fixed, its bends are the parameters."""

import dataclasses

import jax
import jax.numpy as jnp

from repcon_jax import losses
from repcon_jax.errors import ConfigError, check_range
from repcon_jax.landscape import paths
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.objectives.starting import from_checkpoint
from repcon_jax.random import stream
from repcon_jax.training.step import Batch, Objective
from repcon_jax.trees import lerp
from repcon_jax.typing import Key, Metrics, ModelState, Params, PyTree


@OBJECTIVES.register("curve")
def curve(
    context: Context,
    *,
    kind: paths.Curve = "bezier",
    num_bends: int = 1,
    start_checkpoint: str | None = None,
    start_checkpoint_part: str = "params",
    end_checkpoint: str | None = None,
    end_checkpoint_part: str = "params",
) -> Objective:
    """Minimises E_{t ~ U(0, 1)} of the cross-entropy with the labels at phi(t), over the bends of the curve phi.

    One t is drawn for each step. The bends start on the straight line; the parameters are one tree of leaves
    [num_bends, ...]. What is evaluated and probed is the curve's middle, phi(1/2). Batch normalisation takes the
    batch's statistics at phi(t), and the running ones are the middle's, at the price of one more forward pass.

    Args:
        context: the run.
        kind: ``bezier`` for a Bezier curve of degree num_bends + 1, ``polygonal`` for straight segments.
        num_bends: trained points between the ends, at least 1.
        start_checkpoint, start_checkpoint_part: folder of one step and the part of it that is phi(0).
        end_checkpoint, end_checkpoint_part: likewise phi(1).
    Raises:
        ConfigError: an end is missing or there is no bend.

    Source: Garipov et al., arXiv 1802.10026, section 3.1, equation 2, and section 3.2.
    """
    check_range("num_bends", num_bends, 1)
    ends = {"start": (start_checkpoint, start_checkpoint_part), "end": (end_checkpoint, end_checkpoint_part)}
    for name, (path, _) in ends.items():
        if path is None:
            raise ConfigError(
                f"objective.{name}_checkpoint is None but a curve joins two trained networks; give a folder of one "
                "step."
            )
    method = _Curve(context, kind, num_bends, ends)
    return Objective(
        method.initialise,
        method.loss,
        method.evaluate,
        method.encoders,
        changing=("encoder",),
        constant=("start", "end"),
        uses_labels=True,
    )


@dataclasses.dataclass(frozen=True)
class _Curve:
    """The functions of the objective."""

    context: Context
    kind: paths.Curve
    num_bends: int
    ends: dict[str, tuple[str, str]]

    def initialise(self, key: Key, images: jax.Array) -> tuple[Params, ModelState, PyTree]:
        shapes = jax.eval_shape(self.context.model.init, key, images)
        carried = {name: self._load(path, part, shapes) for name, (path, part) in self.ends.items()}
        start, end = carried["start"], carried["end"]
        bends = paths.initial_bends(start["params"], end["params"], self.num_bends)
        return bends, lerp(start["model_state"], end["model_state"], 0.5), carried

    def _load(self, path: str, part: str, shapes: tuple[Params, ModelState]) -> PyTree:
        loaded = from_checkpoint(self.context, path, part, shapes)
        # A checkpoint keeps no empty subtrees, so the model's own structure is taken. Donated states must not share
        # buffers, and both ends may be one checkpoint: hence the copies.
        leaves = [jnp.copy(leaf) for leaf in jax.tree.leaves(loaded)]
        params, model_state = jax.tree.unflatten(jax.tree.structure(shapes), leaves)
        return {"params": params, "model_state": model_state}

    def loss(
        self, params: Params, carried: PyTree, model_state: ModelState, batch: Batch, step: jax.Array, key: Key
    ) -> tuple[jax.Array, tuple[ModelState, PyTree, Metrics]]:
        del step
        images = batch.views.reshape(-1, *batch.views.shape[2:])
        labels = jnp.tile(batch.labels, batch.views.shape[0])
        path, apply = self._path(params, carried), self.context.model.apply
        coordinate = jax.random.uniform(stream(key, "curve"))
        (_, logits), _ = apply(path(coordinate), model_state, images, True)
        if jax.tree.leaves(model_state):
            _, model_state = apply(jax.lax.stop_gradient(path(0.5)), model_state, images, True)
        value = losses.softmax_cross_entropy_with_labels(logits, labels)
        return value, (model_state, carried, {"accuracy": losses.accuracy(logits, labels)})

    def evaluate(
        self, params: Params, carried: PyTree, model_state: ModelState, images: jax.Array, labels: jax.Array
    ) -> Metrics:
        middle = self._path(params, carried)(0.5)
        (_, logits), _ = self.context.model.apply(middle, model_state, images, False)
        correct = (jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32)
        return {"loss": losses.softmax_cross_entropies_with_labels(logits, labels), "accuracy": correct}

    def encoders(
        self, params: Params, carried: PyTree, model_state: ModelState
    ) -> dict[str, tuple[Params, ModelState]]:
        middle = self._path(params, carried)(0.5)
        return {"encoder": (middle["encoder"], model_state["encoder"])}

    def _path(self, bends: Params, carried: PyTree) -> paths.Path:
        return paths.curve(self.kind, carried["start"]["params"], carried["end"]["params"], bends)
