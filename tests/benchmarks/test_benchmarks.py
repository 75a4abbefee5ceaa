"""The benchmarks run, and their pages hold their numbers; how fast anything is is no test's business."""

import itertools
import json
import math
import os
import pathlib
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.append(str(ROOT))

from benchmarks import measure, step_rate  # noqa: E402
from benchmarks.flops import matmul_flops  # noqa: E402
from benchmarks.plan import Case, plan_for  # noqa: E402
from benchmarks.report import markdown, number, table  # noqa: E402
from benchmarks.utilisation import utilisation  # noqa: E402
from repcon_jax.models.kernels.direct_convolution import direct_convolution  # noqa: E402

COMMITTED = sorted((ROOT / "benchmarks" / "results").glob("*.json"))


@pytest.mark.slow
def test_a_quick_run_writes_numbers_page_and_pictures(tmp_path):
    command = [sys.executable, "-m", "benchmarks.run", "--quick", "--kind", "here", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}, check=True)
    record = json.loads((tmp_path / "results" / "here.json").read_text())
    page = (tmp_path / "results" / "here.md").read_text()
    assert page == markdown(record)
    assert record["environment"]["commit"]
    assert "not measured:" not in page.split("## Landscape")[0]
    pictures = re.findall(r"\]\((.*?\.png)\)", page)
    assert pictures
    assert all((tmp_path / "results" / picture).exists() for picture in pictures)
    check_numbers(page, record)


def check_numbers(page, record):
    """Every number that stands in a table, and not in the name of a task, is a number of the JSON."""
    known = {number(value) for value in leaves(record)}
    names = set(re.findall(r'"task": "([^"]*)"', json.dumps(record)))
    cells = {cell.strip() for line in page.splitlines() if line.startswith("|") for cell in line.split("|")}
    shown = set(re.findall(r"(?<![\w.])-?\d[\d.]*(?:e-?\d+)?(?![\w])", "\n".join(cells - names)))
    assert shown
    assert shown <= known


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [leaf for item in value for leaf in leaves(item)]
    return [value] if isinstance(value, (int, float)) else []


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.stem)
def test_a_committed_page_is_that_of_its_numbers(path):
    record, page = json.loads(path.read_text()), path.with_suffix(".md").read_text()
    assert page == markdown(record)
    assert not record["quick"]
    check_numbers(page, record)
    assert all((path.parent / picture).exists() for picture in re.findall(r"\]\((.*?\.png)\)", page))


def test_sections_of_the_same_code_are_kept_and_others_are_not():
    from benchmarks.run import SECTIONS, _kept

    path = COMMITTED[0]
    record = json.loads(path.read_text())
    assert set(_kept(path, record, ("matmul",))["sections"]) == set(SECTIONS)
    assert _kept(path, record, SECTIONS) == {}
    moved = {**record, "environment": {**record["environment"], "commit": "another"}}
    assert _kept(path, moved, ("matmul",)) == {}


def test_medians_quartiles_and_ratios():
    quartiles = measure.spread([5.0, 1.0, 2.0, 4.0, 3.0])
    assert quartiles == {"median": 3.0, "lower_quartile": 2.0, "upper_quartile": 4.0, "least": 1.0, "greatest": 5.0}
    assert measure.rates([0.5, 0.5], 128)["median"] == 256
    # A drift that slows a whole round down leaves the ratio alone, which a ratio of medians would not.
    assert measure.ratios([1.0, 10.0, 2.0], [2.0, 20.0, 4.0])["least"] == 2.0
    assert measure.ratios([1.0, 10.0, 2.0], [2.0, 20.0, 4.0])["greatest"] == 2.0


def test_competitors_take_turns_of_about_the_time_asked_for():
    calls = []

    class Fake:
        fewest_steps = 1

        def __init__(self, name, pace):
            self.name, self.pace = name, pace

        def seconds(self, steps):
            calls.append((self.name, steps))
            return self.pace * steps

    turns = measure._turns({"a": Fake("a", 0.1), "b": Fake("b", 5.0)}, 2, 1.0)
    assert turns["b"] == {"steps": 1, "step_seconds": [5.0, 5.0]}
    assert calls == [("a", 1), ("b", 1), ("a", 10), ("b", 1), ("a", 10), ("b", 1)]
    assert turns["a"] == {"steps": 10, "step_seconds": pytest.approx([0.1, 0.1])}


@pytest.mark.parametrize("fewest", [1, 3])
def test_a_turn_that_finds_all_of_them_slow_counts(fewest):
    class Slow:
        fewest_steps = fewest

        def __init__(self):
            self.asked = []

        def seconds(self, steps):
            self.asked.append(steps)
            return 5.0

    slow = Slow()
    assert measure._turns({"slow": slow}, 3, 1.0)["slow"]["step_seconds"] == [5.0 / fewest] * len(slow.asked)
    assert slow.asked == [fewest] * 3


def test_a_process_that_fails_later_leaves_the_others_their_turns():
    class Failing:
        fewest_steps = 1

        def seconds(self, steps):
            raise measure.NotMeasuredError("out of memory")

    class Steady:
        fewest_steps = 1

        def seconds(self, steps):
            return 1.0

    turns = measure._turns({"bad": Failing(), "good": Steady()}, 2, 0.0)
    assert turns == {"bad": {"not_measured": "out of memory"}, "good": {"steps": 1, "step_seconds": [1.0, 1.0]}}


def about(seconds, **values):
    sizes = {"imported_bytes": 1e6, "peak_bytes_first_step": 3e6, "peak_bytes_running": 2e6, "device_peak_bytes": None}
    measured = {"step_seconds": seconds, "steps": 1, "first_step_seconds": 9.0, "parameters": 7}
    return measured | sizes | values


def test_a_population_is_compared_with_as_many_single_steps():
    measured = {
        "ours 1": about([1.0, 1.0], step_flops=3e9, remember_seconds_per_image=0.002),
        "ours 4": about([2.0, 2.0], step_flops=3e9),
        "ours, teacher computed 1": about([2.0, 2.0], step_flops=4e9),
        "PyTorch eager": about([1.5, 3.0]),
        "PyTorch compile": {"not_measured": "no compiler"},
    }
    case = step_rate.describe(Case("mlp", 128, (1, 4)), measured)
    one, four, same, eager, compiled = case["rows"]
    assert [row["who"] for row in case["rows"]][:3] == ["ours", "ours", "ours, teacher computed"]
    assert one["remember_milliseconds_per_image"] == 2
    assert same["faster_than"]["PyTorch eager"]["median"] == 1.125
    assert one["faster_than"]["PyTorch eager"]["median"] == 2.25
    assert four["faster_than"]["PyTorch eager"]["median"] == 4.5
    assert four["images_per_second"]["median"] == 256
    assert eager["megabytes"]["peak_running"] == 2
    assert compiled["not_measured"] == "no compiler"
    fastest = [{"dtype": "float32", "gflops_per_second": {"median": rate}} for rate in (20.0, 40.0)]
    percents = [row["percent"] for row in utilisation(fastest, [case])]
    assert percents == pytest.approx([7.5, 15.0, 5.0, 400 / 90])


def test_networks_of_different_size_are_refused():
    measured = {"ours 1": about([1.0]), "PyTorch eager": about([1.0], parameters=8)}
    with pytest.raises(ValueError, match="the networks called mlp differ"):
        step_rate.describe(Case("mlp", 128), measured)


def test_a_failed_process_is_reported_in_its_own_words():
    spec = measure.Spec("ours:Training", {"encoder": "no_such_encoder"})
    measured = measure.compare({"ours": spec}, 1, 0.0)
    assert "missing" in measured["ours"]["not_measured"]
    line = table([("who", lambda row: row["who"]), ("s", lambda row: row["s"])], [{"who": "x", "not_measured": "why"}])
    assert line.endswith("| x | not measured: why |")


def test_step_operations_have_their_closed_form():
    from benchmarks.ours import step_flops

    batch, outputs = 16, 64
    sizes = (3072, 512, 512, 2048, 2048, 256, outputs)
    forward = 2 * batch * sum(a * b for a, b in itertools.pairwise(sizes))
    # Teacher, student, and the student's two products backward, but none for the gradient of the images.
    whole = 4 * forward - 2 * batch * sizes[0] * sizes[1]
    options = {"encoder": "mlp", "batch_size": batch, "outputs": outputs, "num_images": 32, "members": 2}
    assert step_flops(**options, remember=False) == whole
    # The teacher's encoder, whose last size is 512, is left out where it is remembered.
    assert step_flops(**options) == whole - 2 * batch * (3072 * 512 + 512 * 512)


def test_operations_of_a_vgg_are_those_of_xla_and_the_closed_form():
    from repcon_jax.models import create_encoder

    encoder = create_encoder("vgg11", convolution="xla")
    images = jnp.zeros((2, 32, 32, 3))
    variables = jax.eval_shape(encoder.init, jax.random.key(0), images)

    def forward(variables, images):
        return encoder.apply(*variables, images)[0]

    layers = ((32, 3, 64), (16, 64, 128), (8, 128, 256), (8, 256, 256), (4, 256, 512), (4, 512, 512))
    layers += ((2, 512, 512),) * 2
    closed = 2 * 2 * 9 * sum(side * side * a * b for side, a, b in layers)
    assert matmul_flops(forward, variables, images) == closed
    # XLA leaves out the products with padding, a third of them on the smallest maps, and counts biases and pools.
    assert 0.7 < jax.jit(forward).lower(variables, images).cost_analysis()["flops"] / closed < 1.05


@pytest.mark.parametrize("direct", [False, True])
def test_operations_of_a_strided_convolution_backward(direct):
    def library(images, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(images, kernel, (2, 2), ((0, 1), (0, 1)), dimension_numbers=numbers)

    def ours(images, kernel):
        return direct_convolution(images, kernel, (2, 2), ((0, 1), (0, 1)))

    def loss(images, kernel):
        return jnp.sum((ours if direct else library)(images, kernel))

    images, kernel = jnp.zeros((2, 8, 8, 3)), jnp.zeros((3, 3, 3, 5))
    forward = 2 * 2 * 4 * 4 * math.prod(kernel.shape)
    # Both gradients cost as much as the forward pass: zeros between strided entries are no work.
    assert matmul_flops(jax.grad(loss, argnums=(0, 1)), images, kernel) == pytest.approx(3 * forward)


@pytest.mark.parametrize("encoder", ["vgg11", "resnet18", "vit_tiny", "mlp"])
def test_pytorch_gives_the_same_logits(encoder):
    pytest.importorskip(
        "torch", reason="PyTorch is not installed; `make bench` installs it from requirements-bench.txt"
    )
    from benchmarks.agreement import TOLERANCE, check

    assert max(check(encoder)["difference"].values()) < TOLERANCE


def test_pytorch_steps():
    pytest.importorskip(
        "torch", reason="PyTorch is not installed; `make bench` installs it from requirements-bench.txt"
    )
    from benchmarks.torch_step import Training

    training = Training("mlp", 8, 16, 20)
    before = [p.clone() for p in training.method.student.parameters()]
    training.steps(3)
    after = training.method.student.parameters()
    assert all((a != b).any() for a, b in zip(before, after, strict=True))
    assert all(kl >= 0 for _, kl in training.metrics)


def test_the_long_plan_compares_both_encoders_at_both_batch_sizes_as_a_run_does_them_and_like_for_like():
    cases = {(case.encoder, case.batch_size): case for case in plan_for("cpu", long=True).cases}
    for key in [("vgg11", 128), ("vgg11", 256), ("resnet18", 128), ("resnet18", 256)]:
        names = step_rate.competitors(plan_for("cpu", long=True), cases[key], {})
        assert list(names) == ["ours 1", "ours, teacher computed 1", "PyTorch eager", "PyTorch compile"]
