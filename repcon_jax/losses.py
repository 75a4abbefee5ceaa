"""Distances between outputs, and what goes with them: entropy, accuracy, centring.

A plural name (``kl_divergences``) gives one value per example, the singular its mean over the batch. Everything is
computed in float32 at least, whatever the logits' type: with 65536 outputs bfloat16 or float16 sums mean nothing.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from repcon_jax.typing import Scalar

Logits = Float[Array, "*batch outputs"]
PerExample = Float[Array, "*batch"]
Temperature = Scalar


def cross_entropies(
    teacher_logits: Logits,
    student_logits: Logits,
    teacher_temperature: Temperature = 1.0,
    student_temperature: Temperature = 1.0,
) -> PerExample:
    """Cross-entropy of the student's output distribution under the teacher's, one value per example.

        H(p, q) = -sum_k p_k log q_k,   p = softmax(teacher / tau_t),   q = softmax(student / tau_s)

    Its minimum over the student is the teacher's entropy, so its level says little: watch ``kl_divergence``.

    Args:
        teacher_logits, student_logits: [*batch, outputs], any float type.
        teacher_temperature, student_temperature: tau_t and tau_s, above 0.
    Returns:
        [*batch], in nats.

    Source: arXiv 2302.12091, section 3; with temperatures arXiv 2104.14294 (DINO), equation 1.
    """
    teacher = jax.nn.softmax(_at_least_float32(teacher_logits) / teacher_temperature)
    student = jax.nn.log_softmax(_at_least_float32(student_logits) / student_temperature)
    return -jnp.sum(teacher * student, axis=-1)


def cross_entropy(
    teacher_logits: Logits,
    student_logits: Logits,
    teacher_temperature: Temperature = 1.0,
    student_temperature: Temperature = 1.0,
) -> Float[Array, ""]:
    """The batch mean of ``cross_entropies``.

    >>> uniform = jnp.zeros((3, 4))
    >>> round(float(cross_entropy(uniform, uniform) / jnp.log(4.0)), 6)
    1.0
    """
    return jnp.mean(cross_entropies(teacher_logits, student_logits, teacher_temperature, student_temperature))


def kl_divergences(
    teacher_logits: Logits,
    student_logits: Logits,
    teacher_temperature: Temperature = 1.0,
    student_temperature: Temperature = 1.0,
) -> PerExample:
    """Kullback-Leibler divergence from student to teacher, one value per example.

        KL(p, q) = sum_k p_k log(p_k / q_k) = log(1 + sum_k p_k (exp(-r_k) - 1 + r_k))

    where r is the difference of the scaled logits less its mean under p. No term of the sum is negative and no
    log-normaliser (error 1e-6 in float32) is subtracted: a KL of 1e-7 over 65536 outputs keeps its digits.
    Equal logits at equal temperatures give exactly 0, with a gradient of exactly 0.

    Args:
        teacher_logits, student_logits: [*batch, outputs], any float type.
        teacher_temperature, student_temperature: above 0; p = softmax(teacher / tau_t), q = softmax(student / tau_s).
    Returns:
        [*batch], in nats, never negative.

    Source: arXiv 2302.12091, section 3. The gradient with respect to the student is that of ``cross_entropy``.
    """
    teacher, student = _at_least_float32(teacher_logits), _at_least_float32(student_logits)
    teacher_scale, student_scale = 1.0 / teacher_temperature, 1.0 / student_temperature
    # Unlike a difference of products, this is exactly 0 for equal logits however the compiler fuses it.
    difference = (teacher - student) * teacher_scale + student * (teacher_scale - student_scale)
    log_probability = jax.nn.log_softmax(teacher * teacher_scale)
    probability = jnp.exp(log_probability)
    mean = jnp.sum(probability * difference, axis=-1, keepdims=True)
    log_ratio = difference - mean
    # exp(-r) overflows where the student is far more certain than the teacher; there KL is large and cancels nothing.
    is_near = jnp.min(log_ratio, axis=-1, keepdims=True) > -60.0
    safe = jnp.where(is_near, log_ratio, 0.0)
    near = jnp.log1p(jnp.sum(probability * (jnp.expm1(-safe) + safe), axis=-1))
    far = jax.nn.logsumexp(log_probability - log_ratio, axis=-1)
    return jnp.where(is_near[..., 0], near, far)


def kl_divergence(
    teacher_logits: Logits,
    student_logits: Logits,
    teacher_temperature: Temperature = 1.0,
    student_temperature: Temperature = 1.0,
) -> Float[Array, ""]:
    """The batch mean of ``kl_divergences``.

    >>> logits = jnp.array([[1.0, 2.0, 3.0]])
    >>> float(kl_divergence(logits, logits))
    0.0
    """
    return jnp.mean(kl_divergences(teacher_logits, student_logits, teacher_temperature, student_temperature))


def entropies(logits: Logits, temperature: Temperature = 1.0) -> PerExample:
    """Entropy of each output distribution: H(p) = -sum_k p_k log p_k, p = softmax(logits / temperature), in nats."""
    return cross_entropies(logits, logits, temperature, temperature)


def entropy(logits: Logits, temperature: Temperature = 1.0) -> Float[Array, ""]:
    """The batch mean of ``entropies``; ``cross_entropy`` = ``kl_divergence`` + ``entropy`` of the teacher."""
    return jnp.mean(entropies(logits, temperature))


def mean_squared_error(teacher: Logits, student: Logits) -> Float[Array, ""]:
    """Mean over batch and outputs of (teacher - student)^2, both [*batch, outputs].

    >>> float(mean_squared_error(jnp.zeros((2, 2)), jnp.full((2, 2), 3.0)))
    9.0
    """
    return jnp.mean(jnp.square(_at_least_float32(teacher) - _at_least_float32(student)))


def softmax_cross_entropies_with_labels(logits: Logits, labels: Int[Array, "*batch"]) -> PerExample:
    """-log softmax(logits)[label] per example: logits [*batch, outputs], labels [*batch] in 0 .. outputs - 1."""
    log_probabilities = jax.nn.log_softmax(_at_least_float32(logits))
    return -jnp.take_along_axis(log_probabilities, labels[..., None], axis=-1)[..., 0]


def softmax_cross_entropy_with_labels(logits: Logits, labels: Int[Array, "*batch"]) -> Float[Array, ""]:
    """The batch mean of ``softmax_cross_entropies_with_labels``."""
    return jnp.mean(softmax_cross_entropies_with_labels(logits, labels))


def accuracy(logits: Logits, labels: Int[Array, "*batch"]) -> Float[Array, ""]:
    """Fraction of examples whose largest logit is the label's, in [0, 1]; the first wins a tie.

    >>> float(accuracy(jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.array([1, 1])))
    0.5
    """
    return jnp.mean((jnp.argmax(logits, axis=-1) == labels).astype(jnp.float32))


def centre_logits(logits: Logits, centre: Float[Array, " outputs"]) -> Logits:
    """logits - centre in float32, to be given to a loss as the teacher's logits.

    Source: arXiv 2104.14294 (DINO), section 3.1: the teacher's softmax is taken of (logits - centre) / tau_t.
    """
    return _at_least_float32(logits) - centre


def update_centre(
    centre: Float[Array, " outputs"], teacher_logits: Logits, momentum: Scalar
) -> Float[Array, " outputs"]:
    """Moving average of the teacher's mean output: c <- m c + (1 - m) mean_b teacher_logits.

    Args:
        centre: [outputs].
        teacher_logits: [*batch, outputs], not yet centred.
        momentum: m in [0, 1]; DINO takes 0.9.
    Returns:
        The new centre, [outputs].

    Source: arXiv 2104.14294 (DINO), equation 4.
    """
    logits = _at_least_float32(teacher_logits)
    batch_mean = jnp.mean(logits.reshape(-1, logits.shape[-1]), axis=0)
    return momentum * centre + (1.0 - momentum) * batch_mean


def _at_least_float32(values: Float[Array, "*any"]) -> Float[Array, "*any"]:
    return values.astype(jnp.promote_types(values.dtype, jnp.float32))
