"""What can be measured at a point of parameter space, and the registry that finds ``landscape/metrics/``."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from jaxtyping import Array, Float, Int

from repcon_jax.models import Outputs
from repcon_jax.options.registry import Registry
from repcon_jax.options.schema import parse_call
from repcon_jax.probing import PROBES, Probe
from repcon_jax.typing import Params

METRICS = Registry("metric", "repcon_jax.landscape.metrics")
Need = Literal["reference", "labels"]


@dataclass(frozen=True)
class ExampleMetric:
    """A number for every example, whose mean over a data set counts.

    Args:
        values: outputs of the reference network or None, outputs at the point, labels [batch] or None -> [batch].
        needs: whether it reads the reference or the labels.
    """

    values: Callable[[Outputs | None, Outputs, Int[Array, " batch"] | None], Float[Array, " batch"]]
    needs: frozenset[Need] = field(default_factory=frozenset)


@dataclass(frozen=True)
class ParameterMetric:
    """A number of the parameters alone: params -> float32 of shape ()."""

    value: Callable[[Params], Float[Array, ""]]
    needs: frozenset[Need] = field(default_factory=frozenset)


@dataclass(frozen=True)
class ProbeMetric:
    """The value of a probe that is fitted on the embeddings of the training images and scored on the test images."""

    probe: Probe
    needs: frozenset[Need] = frozenset({"labels"})


Metric = ExampleMetric | ParameterMetric | ProbeMetric


def build_metric(text: str) -> Metric:
    """The metric of a text such as ``"kl_divergence"``, ``"norm(part='head')"`` or ``"knn(neighbours=5)"``.

    Args:
        text: name of a metric or a probe, with options where they differ from the defaults.
    Raises:
        ConfigError: neither a metric nor a probe has that name, or an option does not fit.
    """
    name, options = parse_call(text, "metrics")
    if name in PROBES.names():
        return ProbeMetric(PROBES.build(name, **options))
    return METRICS.build(name, **options)
