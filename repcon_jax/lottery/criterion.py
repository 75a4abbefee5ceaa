"""What tells a weight worth keeping, and the registry that finds ``lottery/criteria/``."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from repcon_jax.derivatives import Loss, batched
from repcon_jax.errors import ArgumentError
from repcon_jax.options.registry import Registry
from repcon_jax.training.step import apply_mask
from repcon_jax.typing import Key, Params, PyTree

CRITERIA = Registry("criterion", "repcon_jax.lottery.criteria")
Need = Literal["start", "loss", "batches", "flow", "key"]


@dataclass(frozen=True)
class Evidence:
    """All that a criterion may read; what is None must not be needed.

    Args:
        params: the parameters to be judged.
        mask: booleans with the shapes of params; False is pruned already, and counts as zero whatever params hold.
        start: the parameters at the start of training.
        loss: (params, batch) -> the mean loss of a batch, twice differentiable; networks with batch normalisation
            compute it with their running statistics.
        batches: tree whose leaves have two leading axes, batches and examples, [batches, batch, ...].
        flow: absolute params -> scalar, as ``criteria.synflow.synaptic_flow`` makes it.
        key: of what is drawn.
    """

    params: Params
    mask: PyTree
    start: Params | None = None
    loss: Callable[[Params, PyTree], Float[Array, ""]] | None = None
    batches: PyTree | None = None
    flow: Callable[[Params], Float[Array, ""]] | None = None
    key: Key | None = None

    def kept(self) -> Params:
        """The parameters with pruned entries zero."""
        return apply_mask(self.params, self.mask)

    def mean_loss(self) -> Loss:
        """The loss over all batches as a function of the parameters, whose pruned entries have no effect."""
        mean = batched(self.loss, self.batches)
        return lambda params: mean(apply_mask(params, self.mask))


@dataclass(frozen=True)
class Criterion:
    """A number for every parameter; the larger, the rather it is kept.

    Args:
        score: evidence -> scores with the structure and shapes of its params; pruned entries may hold anything.
        needs: what it reads beside params and mask.
    """

    score: Callable[[Evidence], PyTree]
    needs: frozenset[Need] = field(default_factory=frozenset)


def build_criterion(text: str, field: str = "criterion") -> Criterion:
    """The criterion of a text such as ``"magnitude"`` or ``"movement(source='gradient')"``.

    Args:
        text: a name, with options where they differ from the defaults.
        field: config field that it stands in, for messages.
    Raises:
        ConfigError: no criterion has that name, or an option does not fit.
    """
    return CRITERIA.parse(text, field)


def score(criterion: Criterion, evidence: Evidence) -> PyTree:
    """The scores of all parameters, where pruned ones get -inf: below whatever is kept.

    Args:
        criterion: how to judge.
        evidence: of what.
    Returns:
        A tree of the structure and shapes of ``evidence.params``.
    Raises:
        ArgumentError: the evidence lacks what the criterion needs.

    >>> evidence = Evidence({"w": jnp.array([1.0, -3.0, 2.0])}, {"w": jnp.array([True, True, False])})
    >>> score(build_criterion("magnitude"), evidence)["w"].tolist()
    [1.0, 3.0, -inf]
    """
    for name in (entry.name for entry in fields(Evidence)):
        if name in criterion.needs and getattr(evidence, name) is None:
            raise ArgumentError(
                f"evidence.{name}",
                f"is None but the criterion needs {', '.join(sorted(criterion.needs))}",
                f"give Evidence({name}=...) or choose the criterion 'magnitude', which needs nothing",
            )
    scores = criterion.score(evidence)
    return jax.tree.map(lambda s, kept: jnp.where(kept, s, -jnp.inf), scores, evidence.mask)
