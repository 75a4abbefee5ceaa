"""Programs come back from disk with the same bits; a cache that can't be had stops nothing; imports do no work."""

import os
import pathlib
import subprocess
import sys

import pytest

from repcon_jax.machine.compilation_cache import default_place, machine, prune

ROOT = pathlib.Path(__file__).parents[2]
PROGRAM = """
import sys
from repcon_jax.machine import compilation_cache
print(compilation_cache.enable(sys.argv[1] if len(sys.argv) > 1 else None))
import jax, jax.numpy as jnp
def loss(kernel, x):
    return jnp.sum(jnp.tanh(x @ kernel) ** 2)
x = jax.random.normal(jax.random.key(0), (16, 8))
value, gradient = jax.jit(jax.value_and_grad(loss))(jnp.eye(8), x)
print(value.tobytes().hex(), gradient.tobytes().hex())
"""


def run(*words, **environment):
    command = [sys.executable, *words]
    inherited = {name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name}
    environment = {**inherited, "JAX_PLATFORMS": "cpu", **environment}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=True, timeout=300)


def contents(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_second_process_compiles_nothing_and_computes_the_same_bits(tmp_path):
    first = run("-c", PROGRAM, str(tmp_path))
    kept = contents(tmp_path)
    second = run("-c", PROGRAM, str(tmp_path))
    fresh = run("-c", PROGRAM, "none")
    assert any("loss" in name for name in kept)
    assert contents(tmp_path) == kept
    assert first.stdout == second.stdout
    assert first.stdout.splitlines() == [str(tmp_path / machine()), fresh.stdout.splitlines()[1]]
    assert first.stderr == second.stderr == fresh.stderr == ""


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "file").touch()
    found = run("-c", PROGRAM, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert found.stderr.count("\n") == 1
    assert "No compilation cache (Not a directory); set --compilation_cache" in found.stderr
    assert found.stdout.startswith("None\n")


def test_what_jax_was_told_is_left_alone(tmp_path):
    found = run("-c", PROGRAM, JAX_COMPILATION_CACHE_DIR=str(tmp_path), JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="99")
    assert found.stdout.startswith(f"{tmp_path}\n")
    assert not contents(tmp_path)


def test_the_default_place_is_the_users_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert str(default_place()) == "/somewhere/repcon_jax/xla"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_place() == pathlib.Path.home() / ".cache/repcon_jax/xla"


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    (tmp_path / "machine").mkdir()
    for age, name in enumerate("abcd"):
        path = tmp_path / "machine" / name
        path.write_bytes(bytes(10))
        os.utime(path, (1000 - age, 500))
    prune(tmp_path, 25)
    assert sorted(contents(tmp_path)) == ["a", "b"]
    prune(tmp_path, 25)
    assert sorted(contents(tmp_path)) == ["a", "b"]


@pytest.mark.slow
def test_importing_any_module_starts_no_backend():
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted((ROOT / "repcon_jax").rglob("*.py"))
        if path.name != "__main__.py"
    ]
    program = (
        f"import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
        "from jax._src import xla_bridge\nassert not xla_bridge.backends_are_initialized()"
    )
    run("-c", program)
