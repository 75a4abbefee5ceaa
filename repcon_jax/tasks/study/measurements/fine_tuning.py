"""How good a network is as a start for training on the target."""

import dataclasses
from typing import Literal

import jax.numpy as jnp

from repcon_jax.probing import FineTuning, fine_tune
from repcon_jax.probing.fine_tuning import accuracy_of
from repcon_jax.records.scores import ACCURACY
from repcon_jax.tasks.study.measurements import MEASUREMENTS, Measurement, Reading
from repcon_jax.tasks.study.subject import Subject


@MEASUREMENTS.register("fine_tuning")
def fine_tuning(
    *,
    learning_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3),
    steps: int = 200,
    batch_size: int = 64,
    optimiser: Literal["sgd", "adam", "adamw"] = "adamw",
    weight_decay: float = 0.0,
    head_steps: int = 0,
    held_out: float = 0.2,
) -> Measurement:
    """The accuracy on the target's test set of the whole network, trained on the examples drawn with a fresh head.

    Args:
        learning_rates: that are tried.
        steps: of every training.
        batch_size: examples of a step; fewer where there are fewer.
        optimiser: see ``repcon_jax.training.optimisers``.
        weight_decay: of all parameters.
        head_steps: steps before which only the head is trained.
        held_out: share of every class drawn on which the learning rate is chosen, at most a half.
    Raises:
        ArgumentError: a number is out of range, or no learning rate is given.
    """
    options = FineTuning(learning_rates, steps, batch_size, optimiser, weight_decay, head_steps, held_out)

    def measure(subject: Subject) -> dict[str, Reading]:
        train, test = ((jnp.asarray(part.images), jnp.asarray(part.labels)) for part in (subject.train, subject.test))
        tuned = fine_tune(subject.network, *train, subject.num_classes, options, subject.key)
        return {"value": Reading(accuracy_of(tuned.network, *test, subject.batch_size), tuned.details())}

    what = "a linear head alone" if head_steps == steps else "the whole network"
    score = dataclasses.replace(ACCURACY, about=f"{what} trained on the examples drawn, its learning rate swept")
    return Measurement(measure, {"value": score}, needs=frozenset({"training"}))
