import keras
import numpy as np
import pytest

from apps.data import linear_teacher
from keras_bnsmooth.models import NORMS, SquaredError, dln

pytestmark = pytest.mark.usefixtures("x64")


def test_it_is_a_product_of_matrices():
    model = dln(depth=25, dim=10, seed=1, dtype="float64")
    x, _ = linear_teacher(samples=7, dtype="float64")
    product = x
    for kernel in model.get_weights():
        assert kernel.shape == (10, 10)
        product = product @ kernel
    assert len(model.get_weights()) == 25
    outputs = keras.ops.convert_to_numpy(model(x))
    # Keras on torch multiplies matrices in single precision.
    rtol = 1e-4 if keras.backend.backend() == "torch" else 1e-12
    np.testing.assert_allclose(outputs, product, rtol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("norm", NORMS)
def test_every_norm_trains_a_step_in_its_dtype(norm, dtype):
    x, y = linear_teacher(samples=8, dim=3, dtype=dtype)
    model = dln(depth=4, dim=3, norm=norm, seed=0, dtype=dtype)
    model.compile(keras.optimizers.SGD(1e-3), SquaredError(dtype=dtype))
    before = model.trainable_weights[0].numpy()
    model.train_on_batch(x, y)
    assert {
        keras.backend.standardize_dtype(w.dtype) for w in model.trainable_weights
    } == {dtype}
    assert (model.trainable_weights[0].numpy() != before).any()


def test_a_bare_output_is_that_of_the_last_linear_layer():
    x, _ = linear_teacher(samples=20, dim=3)
    normalized = dln(depth=2, dim=3, norm="bn", seed=0)
    bare = dln(depth=2, dim=3, norm="bn", seed=0, normalize_output=False)
    names = [layer.name for layer in normalized.layers]
    assert names[-2:] == ["linear2", "linear2_bn"]
    assert [layer.name for layer in bare.layers] == names[:-1]
    outputs = keras.ops.convert_to_numpy(bare(x, training=True))
    outputs -= outputs.mean(0)
    outputs /= np.sqrt(outputs.var(0) + 1e-3)
    expected = keras.ops.convert_to_numpy(normalized(x, training=True))
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)


def test_squared_error_is_the_sum_over_samples_and_outputs():
    rng = np.random.default_rng(0)
    y, z = rng.normal(size=(2, 6, 4))
    expected = sum((y[i, j] - z[i, j]) ** 2 for i in range(6) for j in range(4))
    loss = SquaredError(dtype="float64")
    np.testing.assert_allclose(loss(y, z), expected, rtol=1e-12)
    weights = rng.uniform(size=6)
    expected = sum(
        weights[i] * (y[i, j] - z[i, j]) ** 2 for i in range(6) for j in range(4)
    )
    np.testing.assert_allclose(loss(y, z, weights), expected, rtol=1e-6)


def test_keras_averages_over_the_outputs_instead():
    rng = np.random.default_rng(0)
    y, z = rng.normal(size=(2, 6, 4)).astype("float32")
    keras_loss = keras.losses.MeanSquaredError(reduction="sum")
    np.testing.assert_allclose(SquaredError()(y, z), 4 * keras_loss(y, z), rtol=1e-6)


def test_a_saved_model_comes_back_with_its_loss(tmp_path):
    model = dln(depth=2, dim=3)
    model.compile("sgd", SquaredError(name="mine", dtype="float64"))
    model.save(tmp_path / "model.keras")
    loss = keras.models.load_model(tmp_path / "model.keras").loss
    assert isinstance(loss, SquaredError)
    assert loss.get_config() == {"name": "mine", "dtype": "float64"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dln(norm="batch"), "norm must be one of"),
        (lambda: dln(depth=0), "depth must be a positive integer; received 0"),
        (lambda: dln(dim=2.5), "dim must be a positive integer; received 2.5"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
