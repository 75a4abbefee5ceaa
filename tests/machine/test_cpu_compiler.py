"""The compiler's flag: set where it was measured and nobody chose otherwise, and obeyed by XLA."""

import os
import subprocess
import sys

import pytest

from repcon_jax.machine import cpu_compiler

LOOK = """
from repcon_jax.machine import cpu_compiler
on = cpu_compiler.enable()
import jax, jax.numpy as jnp
convolve = lambda x, k: jax.lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
shapes = [jax.ShapeDtypeStruct(s, "float32") for s in ((64, 16, 16, 64), (3, 3, 64, 64), (512, 512))]
calls = (convolve, shapes[:2]), (jnp.matmul, shapes[2:] * 2)
print(on, *("ynn" in jax.jit(function).lower(*given).compile().as_text() for function, given in calls))
"""


@pytest.fixture
def fresh(monkeypatch):
    """As if JAX had not been imported, on the machine that was measured."""
    monkeypatch.delitem(sys.modules, "jax")
    monkeypatch.setattr(cpu_compiler, "_is_measured", lambda: True)
    monkeypatch.setattr(cpu_compiler, "_is_cpu_alone", lambda: True)
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    return monkeypatch


def _run(flags):
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


def test_xla_keeps_its_convolutions_and_gives_products_away():
    on, convolution, product = _run("")
    if on == "False":
        pytest.skip("the flag is for Linux on x86-64 only")
    assert (convolution, product) == ("False", "True")


def test_it_adds_to_the_flags_that_are_there(fresh):
    assert cpu_compiler.enable()
    assert os.environ["XLA_FLAGS"] == f"--xla_cpu_enable_fast_math=false {cpu_compiler.flag()}"


@pytest.mark.parametrize(("value", "itself"), [("LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION", False), ("", True)])
def test_what_the_user_chose_stays(fresh, value, itself):
    chosen = f"{cpu_compiler.FLAG}{value} --xla_cpu_enable_fast_math=false"
    fresh.setenv("XLA_FLAGS", chosen)
    assert cpu_compiler.enable() is itself
    assert os.environ["XLA_FLAGS"] == chosen


def test_nothing_is_set_once_jax_has_been_imported(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    assert not cpu_compiler.enable()
    assert not os.environ["XLA_FLAGS"]


@pytest.mark.parametrize("missing", ["_is_measured", "_is_cpu_alone"])
def test_nothing_is_set_elsewhere(fresh, missing):
    fresh.setattr(cpu_compiler, missing, lambda: False)
    assert not cpu_compiler.enable()
    assert cpu_compiler.FLAG not in os.environ["XLA_FLAGS"]
