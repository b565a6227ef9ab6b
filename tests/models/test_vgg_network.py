import keras
import numpy as np
import pytest

from keras_bnsmooth.models import NORMS, vgg


@pytest.mark.parametrize(
    ("depth", "convolutions"), [(11, 8), (13, 10), (16, 13), (19, 16)]
)
def test_depth_counts_the_layers_with_kernels(depth, convolutions):
    model = vgg(depth=depth, width=2)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("Conv2D") == convolutions
    assert kinds.count("Dense") == 3
    assert kinds.count("MaxPooling2D") == 5
    assert model.output_shape == (None, 10)


def test_the_full_network_has_the_known_number_of_weights():
    # Simonyan and Zisserman's configuration A: 9,220,480 in its convolutions.
    model = vgg(depth=11, width=64)
    convolutions = [la for la in model.layers if isinstance(la, keras.layers.Conv2D)]
    assert sum(layer.count_params() for layer in convolutions) == 9_220_480


@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_trains_a_step_on_small_and_large_images(norm):
    for shape in ((8, 8, 1), (32, 32, 3)):
        model = vgg(shape, classes=3, depth=11, width=1, norm=norm, seed=0)
        model.compile(
            "sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        )
        rng = np.random.default_rng(0)
        x = rng.normal(size=(6, *shape)).astype("float32")
        loss = model.train_on_batch(x, np.arange(6) % 3)
        assert np.isfinite(loss)


def test_a_normalization_stands_before_every_relu():
    model = vgg(depth=11, width=1, norm="l1")
    kinds = [type(layer).__name__ for layer in model.layers]
    for i, kind in enumerate(kinds):
        if kind == "ReLU":
            assert kinds[i - 1] == "LpNormalization"
    assert kinds.count("LpNormalization") == kinds.count("ReLU") == 10


def test_the_same_seed_gives_the_same_initial_kernels_under_every_norm():
    def kernels(norm, seed):
        model = vgg(depth=11, width=1, norm=norm, seed=seed)
        return [w.numpy() for w in model.trainable_weights if w.name == "kernel"]

    for other in NORMS[1:]:
        for a, b in zip(kernels("none", 5), kernels(other, 5), strict=True):
            np.testing.assert_array_equal(a, b)
    assert (kernels("none", 5)[0] != kernels("none", 6)[0]).any()
    first, second = kernels("none", 5)[6:8]  # two layers of one shape
    assert (first != second).any()


@pytest.mark.parametrize("norm", ["noisy_bn", "noise"])
def test_no_two_layers_share_a_seed(norm):
    """The kernels' seeds stay those of NumPy's SeedSequence; noise has its own."""
    model = vgg(depth=11, width=1, norm=norm, seed=5)
    kernels = [
        layer.kernel_initializer.seed
        for layer in model.layers
        if hasattr(layer, "kernel_initializer")
    ]
    assert kernels == list(np.random.SeedSequence(5).generate_state(11) >> 1)
    noise = [layer.seed for layer in model.layers if hasattr(layer, "n_mu")]
    assert len(noise) == 10
    assert len({*kernels, *noise}) == len(kernels) + len(noise)


def test_images_have_their_channels_last_whatever_the_default_of_keras():
    expected = vgg(depth=11, width=1, norm="bn", seed=0)
    keras.config.set_image_data_format("channels_first")
    try:
        model = vgg(depth=11, width=1, norm="bn", seed=0)
    finally:
        keras.config.set_image_data_format("channels_last")
    x = np.random.default_rng(0).normal(size=(2, 32, 32, 3))
    np.testing.assert_array_equal(model.predict(x), expected.predict(x))


def test_sizes_may_be_integers_of_numpy(tmp_path):
    model = vgg(depth=11, width=np.int64(2), classes=np.int32(3))
    model.save(tmp_path / "model.keras")
    assert model.output_shape == (None, 3)


@pytest.mark.parametrize("norm", NORMS)
def test_synchronized_normalizations_are_made_on_every_backend(norm):
    model = vgg((4, 4, 1), depth=11, width=1, norm=norm, synchronized=True)
    assert model(np.ones((2, 4, 4, 1)), training=True).shape == (2, 10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "l3"}, "norm must be one of none, bn, .* received 'l3'"),
        ({"depth": 12}, "depth must be one of 11, 13, 16, 19; received 12"),
        ({"width": 0}, "width must be a positive integer; received 0"),
        ({"classes": -1}, "classes must be a positive integer; received -1"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        vgg(**arguments)
