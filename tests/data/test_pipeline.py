import jax
import numpy as np
import pytest

from repcon_jax.data import build_views, parse_pipeline
from repcon_jax.errors import ArgumentError, ConfigError

KEY = jax.random.key(0)
IMAGES = jax.random.uniform(jax.random.key(1), (4, 8, 8, 3))


@pytest.mark.parametrize("text", ["", "  "])
def test_empty_is_the_identity(text):
    assert np.array_equal(parse_pipeline(text)(KEY, IMAGES), IMAGES)


def test_stages_run_from_left_to_right():
    augment = jax.jit(parse_pipeline("resize(size=4) | resize(size=5)"))
    assert augment(KEY, IMAGES).shape == (4, 5, 5, 3)
    first = parse_pipeline("solarise(probability=1.0,threshold=0.5)|grey(probability=1.0)")(KEY, IMAGES)
    second = parse_pipeline("grey(probability=1.0)|solarise(probability=1.0,threshold=0.5)")(KEY, IMAGES)
    assert not np.allclose(first, second)


def test_equal_stages_have_keys_of_their_own():
    once, twice = parse_pipeline("padded_crop"), parse_pipeline("padded_crop|padded_crop")
    black = np.asarray(twice(KEY, IMAGES) == 0).sum()
    assert not np.array_equal(twice(KEY, IMAGES), once(KEY, once(KEY, IMAGES)))
    assert black >= np.asarray(once(KEY, IMAGES) == 0).sum() / 2


def test_options_may_be_integers_where_numbers_are_meant():
    assert np.array_equal(parse_pipeline("flip(probability=1)")(KEY, IMAGES), IMAGES[:, :, ::-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flp", "did you mean 'flip'"),
        ("flip|", "data.x is '' but must be a name or a call"),
        ("flip(", "must be a name or a call"),
        ("flip,grey", "must be a name or a call"),
        ("flip+grey", r"data.x is 'flip\+grey' but must be a name or a call"),
        ("__import__('os').system('x')", "must be a name or a call"),
        ("flip(0.5)", "a call with keywords"),
        ("flip(probabilty=0.5)", "did you mean 'probability'"),
        ("flip(probability='x')", "must be float; correct --config.data.x"),
        ("flip(probability=f(1))", "must be a name or a call"),
        (
            "grey|flip(probability=2.0)",
            r"data.x has 'flip\(.*\)': .* must lie in .*; correct --config.data.x",
        ),
        ("flip(**{'probability': 1})", "must be a name or a call"),
        ("resize", "size is missing, which 'resize' needs"),
    ],
)
def test_errors(text, message):
    with pytest.raises(ConfigError, match=message) as caught:
        parse_pipeline(text, "data.x")
    assert "\n" not in str(caught.value)


def test_no_augmentation_is_one_view():
    global_views, local_views = build_views()(KEY, IMAGES)
    assert np.array_equal(global_views, IMAGES[None])
    assert local_views.shape == (0, 4, 8, 8, 3)


def test_multi_crop():
    views = build_views("random_resized_crop(size=8)|flip", 2, "random_resized_crop(size=4,max_scale=0.4)", 3)
    global_views, local_views = jax.jit(views)(KEY, IMAGES)
    assert global_views.shape == (2, 4, 8, 8, 3)
    assert local_views.shape == (3, 4, 4, 4, 3)
    assert len({view.tobytes() for view in np.asarray(global_views)}) == 2
    assert len({view.tobytes() for view in np.asarray(local_views)}) == 3


def test_global_and_local_views_are_independent():
    global_views, local_views = build_views("padded_crop", 1, "padded_crop", 1)(KEY, IMAGES)
    assert not np.array_equal(global_views, local_views)


@pytest.mark.parametrize(("num_global", "num_local"), [(0, 1), (1, -1)])
def test_numbers_out_of_range(num_global, num_local):
    with pytest.raises(ArgumentError, match=r"^num_(global|local) is"):
        build_views("", num_global, "", num_local)
