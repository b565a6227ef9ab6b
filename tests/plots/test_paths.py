import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth.records import snapshots
from tests.probes import reference, small_models


def train(model, data, folder, every=1, epochs=9):
    """One step per epoch, on the whole batch."""
    probe = kb.TrajectoryProbe(every=every, log_dir=folder)
    options = {"batch_size": len(data[0]), "shuffle": False, "verbose": 0}
    model.fit(*data, epochs=epochs, callbacks=[probe], **options)
    return probe


def arrays(model):
    return [np.array(v.numpy()) for v in model.trainable_variables]


def flat(parts):
    return np.concatenate([np.ravel(part) for part in parts]).astype(float)


def drawn(figure):
    """The path in the plane [T + 1, 2]; and steps and losses, in the plane and not."""
    plane, losses, _ = figure.axes
    path = plane.lines[-1].get_xydata()
    measured, in_plane, off = (line.get_xydata().T for line in losses.lines)
    return path, measured, in_plane, off


def quadratic(eigenvalues):
    """The loss is 1/2 the sum of eigenvalue * weight^2."""
    keras.utils.set_random_seed(0)
    dense = keras.layers.Dense(1, use_bias=False, name="w")
    model = keras.Sequential([keras.Input((len(eigenvalues),)), dense])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    dense.kernel.assign(np.linspace(1, 3, len(eigenvalues))[:, None])
    count = len(eigenvalues)
    x = np.diag(np.sqrt(np.multiply(eigenvalues, count / 2)))
    return model, (x, np.zeros((count, 1)))


def test_gradient_descent_on_a_quadratic_follows_the_closed_form(tmp_path):
    # W(t) = (1 - lr * lambda)^t W(0), for each eigenvalue lambda.
    eigenvalues = np.array([4.0, 1.0, 0.25])
    model, data = quadratic(eigenvalues)
    probe = train(model, data, tmp_path, epochs=12)
    figure = kb.plots.trajectory(probe, model, data, resolution=5, verbose=0)
    path, measured, in_plane, _ = drawn(figure)
    w = (1 - 0.1 * eigenvalues) ** np.arange(13)[:, None] * np.linspace(1, 3, 3)
    _, values, components = np.linalg.svd(w - w.mean(0))
    components = components[:2]
    expected = (w - w[-1]) @ components.T
    expected *= np.sign(expected[0])
    np.testing.assert_allclose(path, expected, atol=1e-5)
    assert measured[0].tolist() == [*range(12)]
    losses = 0.5 * w[:-1] ** 2 @ eigenvalues
    np.testing.assert_allclose(measured[1], losses, rtol=1e-5)
    projected = w[-1] + (w - w[-1]) @ components.T @ components
    losses = 0.5 * projected[:-1] ** 2 @ eigenvalues
    np.testing.assert_allclose(in_plane[1], losses, rtol=1e-4)
    shares = values**2 / np.sum(values**2)
    plane = figure.axes[0]
    for label, share in zip((plane.get_xlabel(), plane.get_ylabel()), shares, strict=0):
        assert f"{share:.1%} of the variance" in label


def test_of_two_weights_the_plane_is_all_there_is(tmp_path):
    model, data = quadratic([4.0, 0.5])
    probe = train(model, data, tmp_path, epochs=12)
    figure = kb.plots.trajectory(probe, model, data, resolution=5, verbose=0)
    path, measured, in_plane, off = drawn(figure)
    w = (1 - 0.1 * np.array([4, 0.5])) ** np.arange(13)[:, None] * [1, 3]
    np.testing.assert_allclose(
        np.linalg.norm(np.diff(path, axis=0), axis=1),
        np.linalg.norm(np.diff(w, axis=0), axis=1),
        rtol=1e-4,
    )
    np.testing.assert_allclose(in_plane, measured, rtol=1e-5)
    assert off.size == 0
    labels = [text.get_text() for text in figure.legends[0].texts]
    assert labels[-1] == "plane off by more than 10%: 0 of 12 points"


@pytest.mark.parametrize("options", [{}, {"training": False}])
def test_losses_are_those_of_assigned_weights(options, tmp_path):
    model, data = small_models.bn_cnn()
    model.compile(keras.optimizers.Adam(0.5), model.loss)  # moves around a lot
    probe = train(model, data, tmp_path)
    before = [np.array(v.numpy()) for v in model.variables]
    figure = kb.plots.trajectory(probe, model, data, resolution=3, verbose=0, **options)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    path, measured, in_plane, off = drawn(figure)
    end = arrays(model)
    w = np.array([snapshots.read(probe.folder, t) for t in range(9)], float)
    # Of principal components, those that fit the path best.
    whole = np.array([*w, flat(end)])
    components = np.linalg.pinv(path - path.mean(0)) @ (whole - whole.mean(0))
    shapes = [a.shape for a in end]
    cuts = np.cumsum([a.size for a in end])[:-1]
    for losses, points in (
        (measured[1], w),
        (in_plane[1], flat(end) + path[:-1] @ components),
    ):
        expected = []
        for point in points:
            parts = np.split(point, cuts)
            parts = [p.reshape(s) for p, s in zip(parts, shapes, strict=True)]
            expected.append(plain_loss(model, parts, data, **options))
        np.testing.assert_allclose(losses, expected, rtol=1e-4)
    size = np.minimum(measured[1], measured[1].max() - measured[1].min())
    differ = np.abs(in_plane[1] - measured[1]) > 0.1 * size
    assert 0 < differ.sum() < 9
    np.testing.assert_array_equal(off, in_plane[:, differ])
    edges = figure.axes[0].collections[-1].get_edgecolors()
    orange = np.all(np.isclose(edges[:, :3], edges[differ][0, :3]), axis=1)
    np.testing.assert_array_equal(orange, differ)


def plain_loss(model, parts, data, training=True):
    if training:
        return reference.value_and_grad(model, parts, *data)[0]
    kept = arrays(model)
    for variable, part in zip(model.trainable_variables, parts, strict=True):
        variable.assign(part)
    loss = model.evaluate(*data, verbose=0)
    for variable, part in zip(model.trainable_variables, kept, strict=True):
        variable.assign(part)
    return loss


def test_every_way_to_name_a_run(tmp_path):
    model, data = small_models.mlp()
    probe = train(model, data, tmp_path / "run", epochs=3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    again, _ = small_models.mlp()  # whose layers have other numbers
    again.set_weights(model.get_weights())
    batches = [tuple(part[:4] for part in data), tuple(part[4:] for part in data)]
    paths = [
        drawn(kb.plots.trajectory(*run, resolution=2, verbose=0))[0]
        for run in (
            (probe, model, data),
            (tmp_path / "run", loaded, batches),
            (str(tmp_path / "run" / "trajectory.jsonl"), again, data),
        )
    ]
    np.testing.assert_array_equal(paths[1], paths[0])
    np.testing.assert_array_equal(paths[2], paths[0])


def fails(error, *arguments, kind=ValueError):
    with pytest.raises(kind, match=error) as raised:
        kb.plots.trajectory(*arguments, resolution=2, verbose=0)
    assert "\n" not in str(raised.value)


def test_errors(tmp_path):
    model, data = small_models.mlp()
    probe = train(model, data, tmp_path, epochs=3)
    other, _ = small_models.bn_cnn()
    fails(
        r"at step 0 is not one of .*dense\S*/kernel \(5, 4\), the", probe, other, data
    )
    frozen, _ = small_models.mlp()
    frozen.layers[-1].trainable = False
    fails(r"kernel \(4, 3\), the model nothing; pass", probe, frozen, data)
    fails("received dict", probe.history, model, data)
    fails("there is no", tmp_path / "elsewhere", model, data, kind=FileNotFoundError)
    landscape = kb.LandscapeProbe(data, every=1, log_dir=tmp_path)
    model.fit(*data, verbose=0, callbacks=[landscape])
    record = tmp_path / "landscape.jsonl"
    fails("no trajectory record", record, model, data)
    (probe.folder / "weights-000000001.npy").unlink()
    fails("weights-000000001.npy cannot be read", probe, model, data)
    short = train(small_models.mlp()[0], data, tmp_path / "short", epochs=1)
    fails("1 snapshots and the model is a line", short, model, data)
