"""Training a curve of low loss between two networks: its ends are fixed, its bends are the parameters."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from repcon_jax import losses
from repcon_jax.errors import ArgumentError, check_range
from repcon_jax.landscape import paths
from repcon_jax.models import Network
from repcon_jax.objectives import OBJECTIVES, Context
from repcon_jax.objectives.starting import from_checkpoint, require_one_head, with_own_buffers
from repcon_jax.objectives.supervised import LABELLED_SCORES, labelled_metrics
from repcon_jax.random import stream
from repcon_jax.training.step import Inputs, Objective
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
        UserError: an end is missing or there is no bend.

    Source: Garipov et al., arXiv 1802.10026, section 3.1, equation 2, and section 3.2.
    """
    require_one_head(context, "curve")
    check_range("num_bends", num_bends, 1)
    ends = {"start": (start_checkpoint, start_checkpoint_part), "end": (end_checkpoint, end_checkpoint_part)}
    for name, (path, _) in ends.items():
        if path is None:
            problem = "is None but a curve joins two trained networks"
            raise ArgumentError(f"{name}_checkpoint", problem, "give a folder of one step")
    method = _Curve(context, kind, num_bends, ends)
    return Objective(
        method.start,
        method.loss,
        method.evaluate,
        method.networks,
        changing=("encoder",),
        constant=("start", "end"),
        uses_labels=True,
        scores=LABELLED_SCORES,
    )


@dataclasses.dataclass(frozen=True)
class _Curve:
    """The functions of the objective."""

    context: Context
    kind: paths.Curve
    num_bends: int
    ends: dict[str, tuple[str, str]]

    def start(self, key: Key, images: jax.Array, scalars: dict[str, Any]) -> tuple[Params, ModelState, PyTree]:
        del scalars
        shapes = jax.eval_shape(self.context.model.init, key, images)
        # Both ends may be one checkpoint.
        carried = {
            name: with_own_buffers(self.context.network(*from_checkpoint(self.context, path, part, shapes)))
            for name, (path, part) in self.ends.items()
        }
        start, end = carried["start"], carried["end"]
        bends = paths.initial_bends(start.params, end.params, self.num_bends)
        return bends, lerp(start.model_state, end.model_state, 0.5), carried

    def loss(self, inputs: Inputs) -> tuple[jax.Array, tuple[ModelState, PyTree, Metrics]]:
        images = inputs.batch.views.reshape(-1, *inputs.batch.views.shape[2:])
        labels = jnp.tile(inputs.batch.labels, inputs.batch.views.shape[0])
        path, model_state = self._path(inputs), inputs.model_state
        coordinate = jax.random.uniform(stream(inputs.key, "curve"))
        (_, logits), _ = self.context.network(path(coordinate), model_state).apply(images, True)
        if jax.tree.leaves(model_state):
            middle = self.context.network(jax.lax.stop_gradient(path(0.5)), model_state)
            _, model_state = middle.apply(images, True)
        value = losses.softmax_cross_entropy_with_labels(logits, labels)
        return value, (model_state, inputs.carried, {"accuracy": losses.accuracy(logits, labels)})

    def evaluate(self, inputs: Inputs) -> Metrics:
        return labelled_metrics(self._middle(inputs), inputs)

    def networks(self, inputs: Inputs) -> dict[str, Network]:
        return {"encoder": self._middle(inputs)}

    def _middle(self, inputs: Inputs) -> Network:
        return self.context.network(self._path(inputs)(0.5), inputs.model_state)

    def _path(self, inputs: Inputs) -> paths.Path:
        start, end = inputs.carried["start"], inputs.carried["end"]
        return paths.curve(self.kind, start.params, end.params, inputs.params)
