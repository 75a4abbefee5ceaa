"""Densities over rounds against their formulas."""

import itertools

import numpy as np
import pytest

from repcon_jax.errors import ConfigError
from repcon_jax.lottery.schedules import DENSITY_SCHEDULES, cubic, densities, geometric, one_shot, parse_densities


def test_geometric_prunes_the_same_fraction_every_round():
    found = geometric(fraction=0.3, rounds=20)
    np.testing.assert_allclose(found, 0.7 ** np.arange(1, 21), rtol=1e-12)
    # 0.7 ** 2 in floats is 0.48999999999999994, which would move a count that lies at a tie.
    assert found[1] == 0.49


def test_cubic_is_the_polynomial_of_the_sparsity():
    rounds = np.arange(1, 11)
    sparsity = 0.9 + (0.0 - 0.9) * (1 - rounds / 10) ** 3
    np.testing.assert_allclose(cubic(final_density=0.1, rounds=10), 1 - sparsity, rtol=1e-12)
    assert cubic(final_density=0.1, rounds=1) == one_shot(density=0.1) == (0.1,)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one_shot(density=0.05)", (0.05,)),
        ("geometric(fraction=0.5, rounds=3)", (0.5, 0.25, 0.125)),
        ("geometric", geometric()),
        ("cubic(final_density=0.2, rounds=2)", (0.3, 0.2)),
        ("densities(values=(1, 0.5, 0.1))", densities(values=(1.0, 0.5, 0.1))),
        ("densities(values=[0.5])", (0.5,)),
    ],
)
def test_a_schedule_is_one_call_as_text(text, expected):
    found = parse_densities(text)
    assert found == expected
    assert all(type(value) is float for value in found)


def test_every_schedule_decreases_by_default_where_it_has_a_default():
    for name in set(DENSITY_SCHEDULES.names()) - {"densities"}:
        found = parse_densities(name)
        assert all(1 > before > after > 0 for before, after in itertools.pairwise(found))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "one_shot(density=0.0)",
            r"schedule has 'one_shot\(density=0.0\)': schedule.density is 0\.0 but must lie in \(0, 1\]",
        ),
        ("densities(values=(1.5, 0.5))", r"is 1\.5 but must lie in \(0, 1\]"),
        ("densities(values=(0.5, 0.5))", r"gives the density 0\.5 after 0\.5 but densities must decrease strictly"),
        ("densities(values=(0.2, 0.5))", r"gives the density 0\.5 after 0\.2"),
        ("densities", "must name at least one density; give it"),
        ("geometric(fraction=1.0)", r"schedule.fraction is 1\.0 but must lie in \(0, 1\)"),
        ("geometric(rounds=0)", r"schedule.rounds is 0 but must lie in \[1, inf\]"),
        ("cubic(final_density=1.0)", r"schedule.final_density is 1\.0 but must lie in \(0, 1\)"),
        ("cubic(rounds=2.0)", "must be int"),
        ("cube", "did you mean 'cubic'"),
        ("geometric(0.2)", "must be a name or a call with keywords"),
    ],
)
def test_schedules_that_are_none_are_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_densities(text)
