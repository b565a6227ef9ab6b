import keras
import numpy as np
import pytest

from keras_bnsmooth import probes
from keras_bnsmooth.probes.output_units import output_axes
from tests.probes import example_models, reference, small_models
from tests.probes.surface_points import plain, present, vectors_of


@pytest.mark.parametrize("optimizer", ["adamw", "momentum"])
def test_coordinate_1_along_the_update_is_the_next_step(optimizer):
    model, (x, y) = example_models.bn_cnn()
    optimizers = {
        "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
        "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=0.1),
    }
    model.compile(optimizers[optimizer](), model.loss)
    for _ in range(2):
        model.train_on_batch(x, y)
    # The mean over batches, which are the same here.
    r = probes.loss_surface(
        model, [(x, y), (x, y)], directions="update", coordinates=[1.0, -1.0], verbose=0
    )
    before = present(model)
    model.train_on_batch(x, y)
    after = present(model)
    mirrored = [2 * b - a for b, a in zip(before, after, strict=True)]
    expected = [plain(model, [(x, y)], weights) for weights in (after, mirrored)]
    np.testing.assert_allclose(r.losses, expected, rtol=1e-4)
    assert abs(r.losses[0] - r.loss) > 1e-3


def test_random_directions_have_the_lengths_of_the_weights():
    model, batch = example_models.bn_cnn()
    weights = present(model)
    first, second = vectors_of(model, ["random", "random"], batch)
    assert reference.norm(first) == pytest.approx(reference.norm(weights), rel=1e-6)
    assert abs(sum(np.sum(a * b) for a, b in zip(first, second, strict=True))) < (
        0.5 * reference.norm(first) ** 2
    )
    (vector,) = vectors_of(model, "filter_normalized_random", batch)
    for w, d, units in zip(weights, vector, output_axes(model), strict=True):
        if units is None:
            assert not d.any()
        else:
            axes = tuple(range(w.ndim - 1))
            np.testing.assert_allclose(
                np.linalg.norm(d.reshape(-1, d.shape[-1]), axis=0),
                np.sqrt(np.sum(np.square(w), axis=axes)),
                rtol=1e-5,
            )


@pytest.mark.tensorflow
def test_eigenvectors_are_those_of_the_dense_hessian(float64):
    model, batch = small_models.bn_cnn()
    hessian = small_models.dense_hessian(model, batch)[1]
    values, vectors = np.linalg.eigh(hessian)
    found = vectors_of(model, ["eigenvectors", "eigenvectors"], batch)
    for number, vector in enumerate(found, 1):
        flat = np.concatenate([part.ravel() for part in vector])
        assert np.linalg.norm(flat) == pytest.approx(1)
        residual = np.linalg.norm(hessian @ flat - values[-number] * flat)
        assert residual <= 0.011 * values[-number]
        assert abs(flat @ vectors[:, -number]) > 0.999


@pytest.mark.parametrize("suffix", [".keras", ".weights.h5"])
def test_checkpoints_are_the_models_that_they_hold(suffix, tmp_path):
    model, (x, y) = example_models.adam()
    other, _ = example_models.adam()
    model.fit(x, y, verbose=0)
    other.fit(x, y, epochs=2, verbose=0)
    path = tmp_path / f"other{suffix}"
    (other.save if suffix == ".keras" else other.save_weights)(path)
    variables = [*model.variables, *model.optimizer.variables]
    variables += model.metrics_variables
    before = [np.array(v.numpy()) for v in variables]
    of_path, of_text, of_model = (
        probes.loss_surface(model, (x, y), directions=given, resolution=3, verbose=0)
        for given in (path, str(path), other)
    )
    np.testing.assert_array_equal(of_path.losses, of_model.losses)
    np.testing.assert_array_equal(of_text.losses, of_model.losses)
    assert of_path.directions == (f"to other{suffix}",)
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, variable.path)


def test_refuses_a_model_with_other_weights():
    model, batch = example_models.mlp()
    with pytest.raises(ValueError, match="must hold one array per trainable"):
        probes.loss_surface(model, batch, directions=example_models.bn_cnn()[0])
