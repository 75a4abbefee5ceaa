"""How many entries are kept: exact integers, from exact fractions."""

from collections.abc import Mapping
from fractions import Fraction

from repcon_jax.errors import check_range


def exact(number: float) -> Fraction:
    """The decimal number that a float is written as, so that 1 - 0.8 is 0.2 and rounding at a tie is what one expects.

    >>> exact(0.1)
    Fraction(1, 10)
    """
    return Fraction(repr(float(number)))


def kept_count(total: int, density: float) -> int:
    """How many of ``total`` entries are kept at a density.

        kept = total - round((1 - density) total)

    in exact decimal arithmetic, where a tie rounds the pruned number to the even one.

    Args:
        total: number of prunable entries.
        density: in [0, 1].
    Raises:
        ArgumentError: the density is not in [0, 1].

    >>> kept_count(5, 0.5), kept_count(10, 0.8)
    (3, 8)
    """
    check_range("density", density, 0, 1)
    return total - round((1 - exact(density)) * total)


def share(kept: int, weights: Mapping[str, Fraction | int], caps: Mapping[str, int]) -> dict[str, int]:
    """Shares ``kept`` entries among layers in proportion to weights, none above its cap.

    With c such that the quotas min(cap_i, c weight_i) sum to ``kept``, layer i gets its quota rounded down, and the
    entries then left over go one each to the largest remainders, the earlier layer at a tie. So the counts sum to
    ``kept`` exactly and none is off its quota by 1 or more.

    Args:
        kept: number of entries to share, at most the sum of the caps.
        weights: by layer, above 0.
        caps: the most that each layer can keep.

    >>> share(10, {"a": 1, "b": 2, "c": 2}, {"a": 9, "b": 2, "c": 9})
    {'a': 3, 'b': 2, 'c': 5}
    """
    quotas = _quotas(kept, weights, caps)
    numbers = {name: int(quota) for name, quota in quotas.items()}
    remainders = sorted(quotas, key=lambda name: numbers[name] - quotas[name])
    for name in remainders[: kept - sum(numbers.values())]:
        numbers[name] += 1
    return numbers


def _quotas(kept: int, weights: Mapping[str, Fraction | int], caps: Mapping[str, int]) -> dict[str, Fraction]:
    capped: dict[str, Fraction] = {}
    while True:
        free = {name: weight for name, weight in weights.items() if name not in capped}
        scale = Fraction(kept - sum(capped.values())) / sum(free.values())
        # Capping a layer leaves more for the others, so whatever is above its cap now stays there.
        over = {name: Fraction(caps[name]) for name, weight in free.items() if scale * weight > caps[name]}
        if not over:
            return {name: capped.get(name, scale * weight) for name, weight in weights.items()}
        capped |= over
