import keras
import numpy as np
import pytest

from apps.data import linear_teacher
from keras_bnsmooth.models import NORMS, SquaredError, dln
from keras_bnsmooth.models.deep_linear_network import REDUCTIONS

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


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_squared_error_equals_its_definition(reduction):
    rng = np.random.default_rng(0)
    y, z = rng.normal(size=(2, 6, 4))
    square = (y - z) ** 2
    expected = {
        "sum_mean": square.mean(1).sum(),
        "sum_sum": square.sum(),
        "mean_sum": square.sum(1).mean(),
    }[reduction]
    loss = SquaredError(reduction, dtype="float64")
    # Other backends of Keras take means in single precision.
    rtol = 1e-12 if keras.backend.backend() == "tensorflow" else 1e-6
    np.testing.assert_allclose(loss(y, z), expected, rtol=rtol)
    full_sum = loss(y, z) * loss.scale_to_full_sum(samples=6, outputs=4)
    np.testing.assert_allclose(full_sum, square.sum(), rtol=rtol)


def test_the_default_is_what_keras_calls_mean_squared_error_with_sum():
    rng = np.random.default_rng(0)
    y, z = rng.normal(size=(2, 6, 4)).astype("float32")
    keras_loss = keras.losses.MeanSquaredError(reduction="sum")
    np.testing.assert_allclose(SquaredError()(y, z), keras_loss(y, z), rtol=1e-6)


def test_a_saved_model_comes_back_with_its_loss(tmp_path):
    model = dln(depth=2, dim=3)
    model.compile("sgd", SquaredError("mean_sum"))
    model.save(tmp_path / "model.keras")
    loss = keras.models.load_model(tmp_path / "model.keras").loss
    assert loss.get_config() == SquaredError("mean_sum").get_config()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: dln(norm="batch"), "norm must be one of"),
        (lambda: dln(depth=0), "depth must be a positive integer; received 0"),
        (lambda: dln(dim=2.5), "dim must be a positive integer; received 2.5"),
        (lambda: SquaredError("sum"), "reduction must be one of .* received 'sum'"),
    ],
)
def test_wrong_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
