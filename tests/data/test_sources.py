import numpy as np
import pytest

from repcon_jax.data import SOURCES, load
from repcon_jax.data.dataset import SplitError
from repcon_jax.data.sources.scenes import FACTORS, draw, sample_factors
from repcon_jax.data.sprites import SPRITES
from repcon_jax.errors import ConfigError


def test_registered():
    assert SOURCES.names() == ["digits", "gaussian_noise", "scenes"]


class TestDigits:
    def test_train_and_test_are_all_of_scikit_learns_digits(self):
        from sklearn.datasets import load_digits

        train, test = load("digits"), load("digits", "test")
        both = np.concatenate([train.images, test.images]).reshape(-1, 64)
        expected = load_digits().data * 255 / 16
        assert sorted(map(bytes, both)) == sorted(map(bytes, np.rint(expected).astype(np.uint8)))
        assert both.max() == 255

    def test_split_is_stratified_and_always_the_same(self):
        train, test = load("digits"), load("digits", "test")
        total = np.bincount(train.labels) + np.bincount(test.labels)
        assert np.abs(np.bincount(test.labels) - 0.2 * total).max() < 1
        assert np.array_equal(load("digits", "test").images, test.images)

    @pytest.mark.parametrize("mode", ["nearest", "bilinear", "pad"])
    def test_image_size(self, mode):
        assert load("digits", "test", image_size=16, resize_mode=mode).images.shape == (359, 16, 16, 1)

    def test_nearest_repeats_pixels(self):
        small, large = load("digits", "test"), load("digits", "test", image_size=16, resize_mode="nearest")
        assert np.array_equal(large.images, np.kron(small.images, np.ones((1, 2, 2, 1), np.uint8)))

    def test_wrong_split_and_option(self):
        with pytest.raises(SplitError, match="train, test"):
            load("digits", "validation")
        with pytest.raises(ConfigError, match="image_size"):
            load("digits", imagesize=16)


class TestScenes:
    def test_shapes_and_balance(self):
        scenes = load("scenes", num_examples=105, image_size=16)
        assert scenes.images.shape == (105, 16, 16, 3)
        counts = np.bincount(scenes.labels, minlength=10)
        assert counts.max() - counts.min() <= 1
        assert scenes.class_names == tuple(SPRITES)
        assert len(load("scenes", "test", num_test=7)) == 7

    def test_a_function_of_split_and_seed(self):
        first = load("scenes", num_examples=50)
        assert np.array_equal(first.images, load("scenes", num_examples=50).images)
        for other in (load("scenes", num_examples=50, seed=1), load("scenes", "test", num_test=50)):
            assert not {image.tobytes() for image in first.images} & {image.tobytes() for image in other.images}

    @pytest.mark.parametrize("factor", FACTORS)
    def test_only_the_named_factors_vary(self, factor):
        factors = sample_factors("train", num_examples=40, vary=(factor,))
        fields = {"colour": "colour", "background": "background"}.get(factor, factor)
        for name in FACTORS:
            assert (np.ptp(getattr(factors, name), axis=0) > 0).any() == (name == fields)

    def test_nothing_varies_but_the_class(self):
        scenes = load("scenes", num_examples=40, vary=())
        assert len({image.tobytes() for image in scenes.images}) == 10

    def test_disc_covers_its_area(self):
        scenes = load("scenes", num_examples=10, vary=(), image_size=64)
        disc = scenes.images[scenes.labels == 0][0, ..., 0] / 255
        assert disc.mean() == pytest.approx(np.pi * (0.9 * 0.5) ** 2 / 4, rel=5e-3)

    def test_quarter_turn_rotates_the_picture(self):
        factors = sample_factors("train", num_examples=10, vary=())
        upright = draw(factors, 32)
        factors.rotation[:] = np.pi / 2
        assert np.abs(draw(factors, 32).astype(int) - np.rot90(upright, -1, (1, 2))).max() <= 1

    def test_position_moves_the_centre_of_mass(self):
        factors = sample_factors("train", num_examples=100, vary=("position",))
        picture = draw(factors, 32)[..., 0].astype(float)
        axis = (np.arange(32) + 0.5) / 16 - 1
        x = (picture.sum(1) @ axis) / picture.sum((1, 2))
        disc = factors.labels == list(SPRITES).index("disc")
        assert np.allclose(x[disc], factors.position[disc, 0], atol=0.01)

    def test_sprites_stay_inside_and_visible(self):
        factors = sample_factors("train", num_examples=500, vary=("position", "rotation", "scale"))
        pictures = draw(factors, 32)
        border = np.concatenate([pictures[:, [0, -1]].reshape(500, -1), pictures[:, :, [0, -1]].reshape(500, -1)], 1)
        assert border.max() <= 128
        assert (pictures.max((1, 2, 3)) > 200).all()

    def test_errors(self):
        with pytest.raises(ConfigError, match="did you mean 'rotation'"):
            load("scenes", vary=("rotatoin",))
        with pytest.raises(ConfigError, match="num_examples"):
            load("scenes", num_examples=0)
        with pytest.raises(SplitError):
            load("scenes", "validation")


class TestGaussianNoise:
    def test_moments(self):
        noise = load("gaussian_noise", num_examples=400, mean=0.4, std=0.1)
        values = noise.images / 255
        assert noise.labels is None
        assert values.mean() == pytest.approx(0.4, abs=1e-3)
        assert values.std() == pytest.approx(0.1, abs=1e-3)

    def test_a_longer_set_begins_with_the_shorter_one(self):
        short, long = (load("gaussian_noise", num_examples=n, image_size=4, channels=1) for n in (1500, 2500))
        assert np.array_equal(long.images[:1500], short.images)

    def test_has_no_test_split(self):
        with pytest.raises(SplitError):
            load("gaussian_noise", "test")
