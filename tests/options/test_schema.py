import dataclasses
from typing import Literal

import pytest

from repcon_jax.errors import ArgumentError, ConfigError, check_range, did_you_mean
from repcon_jax.options.registry import Registry
from repcon_jax.options.schema import Choice, check_type, parse_call, to_dataclass, to_dict


@dataclasses.dataclass(frozen=True)
class Inner:
    rate: float | str = 0.1
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Outer:
    seed: int
    inner: Inner
    choice: Choice
    mode: Literal["a", "b"] = "a"
    limit: int | None = None


VALUES = {"seed": 1, "inner": {"rate": "cosine()", "names": ["x", "y"]}, "choice": {"name": "vgg", "width": 2}}


def test_a_config_goes_to_dataclasses_and_back():
    config = to_dataclass(Outer, VALUES)
    assert config == Outer(1, Inner("cosine()", ("x", "y")), Choice("vgg", {"width": 2}))
    assert to_dataclass(Outer, to_dict(config)) == config


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, "no field 'sed'; did you mean 'seed'"),
        ({"inner": {"rat": 1}}, r"no field 'inner\.rat'; did you mean 'rate'"),
        ({"seed": 1.5}, r"seed is 1\.5 \(float\) but must be int"),
        ({"seed": True}, "seed is True .* must be int"),
        ({"inner": {"names": ("x", 1)}}, r"inner\.names is .* a tuple of str"),
        ({"inner": 3}, "inner is 3 but must be a group of fields"),
        ({"choice": {"width": 1}}, "must be a group with a 'name'"),
        ({"mode": "c"}, "mode is 'c' .* one of 'a', 'b'"),
        ({"limit": "none"}, "limit is 'none' .* int or None"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    with pytest.raises(ConfigError, match=message):
        to_dataclass(Outer, VALUES | change)


def test_a_missing_field_is_named():
    with pytest.raises(ConfigError, match="config lacks the field 'seed', int"):
        to_dataclass(Outer, {k: v for k, v in VALUES.items() if k != "seed"})


@pytest.mark.parametrize("text", ["", "f(1)", "f(**{'a': 1})", "f(a=g())", "f.g(a=1)", "f(a=1", "1 + 1"])
def test_only_names_and_calls_with_literal_keywords_are_read(text):
    with pytest.raises(ConfigError, match="must be a name or a call with keywords"):
        parse_call(text, "field")


def test_ints_are_floats_but_bools_are_not_ints():
    check_type("x", 1, float)
    check_type("x", (1, 2.5), tuple[float, ...])
    for value, annotation in ((True, int), (True, float), (1.0, int), ((1, 2, 3), tuple[int, int])):
        with pytest.raises(ConfigError):
            check_type("x", value, annotation)


def test_ranges_say_whether_their_ends_belong_to_them():
    check_range("x", 0, 0)
    with pytest.raises(ArgumentError, match=r"x is 0 but must lie in \(0, 1\]"):
        check_range("x", 0, 0, 1, open_low=True)
    with pytest.raises(ArgumentError, match=r"x is nan"):
        check_range("x", float("nan"), 0, 1)


def test_the_nearest_name_comes_first_and_all_are_listed():
    assert did_you_mean("studnt", ["teacher", "student"]) == "did you mean 'student'? (one of: student, teacher)"
    assert did_you_mean("zzz", ["a"]) == "(one of: a)"


def test_a_registry_checks_names_and_options():
    registry = Registry("thing", "repcon_jax.errors")

    @registry.register("ball")
    def ball(size_from_the_room, *, radius: float = 1.0):
        return size_from_the_room, radius

    assert registry.build("ball", 3, radius=2) == (3, 2)
    assert registry.options("ball") == {"radius": 1.0}
    with pytest.raises(ConfigError, match=r"thing\.radis is not an option of 'ball'; did you mean 'radius'"):
        registry.build("ball", 3, radis=2)
    with pytest.raises(ConfigError, match=r"thing\.name is 'bal', which does not exist; did you mean 'ball'"):
        registry.build("bal", 3)
    registry.register("ball")(ball)  # a config file that registers its own method may be read twice
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("ball")(lambda: None)
    assert registry.parse("ball(radius=2.0)", "things", 3) == (3, 2)
    with pytest.raises(ConfigError, match=r"things has 'ball\(radis=2\)': thing\.radis is not an option"):
        registry.parse("ball(radis=2)", "things", 3)


def test_a_registry_reads_several_texts_by_name():
    registry = Registry("thing", "repcon_jax.errors")
    registry.register("ball")(_ball)
    registry.register("box")(_box)
    assert registry.read_several("ball", "of") == {"ball": 1.0}
    assert registry.read_several(("box", "ball(radius=2.0)"), "of") == {"box": 3.0, "ball": 2.0}
    assert registry.read_several(["box"], "of") == {"box": 3.0}
    for wrong in ((), ("ball", "ball(radius=2.0)")):
        with pytest.raises(ArgumentError, match=r"of is .* but must name at least one thing, each once"):
            registry.read_several(wrong, "of")
    with pytest.raises(ArgumentError, match=r"of is 'ball\(' but must be a name or a call with keywords"):
        registry.read_several("ball(", "of")


def _ball(*, radius: float = 1.0):
    return radius


def _box(*, side: float = 3.0):
    return side


def test_a_registry_says_which_field_of_the_config_is_wrong():
    registry = Registry("thing", "repcon_jax.errors")

    @registry.register("box")
    def box(*, side: float, count: int = 1):
        check_range("side", side, 0)
        return side, count

    side, _ = registry.build("box", side=2)
    assert type(side) is float
    wrong = {
        "box(side=-1)": "thing.side is -1.0 but must lie in [0, inf]",
        "box(side='a')": "thing.side is 'a' (str) but must be float",
        "box": "thing.side is missing, which 'box' needs",
    }
    for text, problem in wrong.items():
        with pytest.raises(ConfigError) as error:
            registry.parse(text, "things.first")
        assert str(error.value) == f"things.first has {text!r}: {problem}; correct --config.things.first."
    with pytest.raises(ConfigError, match=r"thing\.side is -1\.0 .*; correct --config\.thing\.side\."):
        registry.build("box", side=-1.0)
