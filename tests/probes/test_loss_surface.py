import keras
import numpy as np
import pytest

import keras_bnsmooth as kb
from keras_bnsmooth import probes
from tests.probes import example_models, reference
from tests.probes.surface_points import moved, plain, present, vectors_of

MODELS = (
    example_models.mlp,
    example_models.bn_cnn,
    example_models.noisy_bn_cnn,
    example_models.two_inputs,
)


def check_values(build, given, training=True, coordinates=(-0.5, 0.0, 0.7)):
    """Compares a surface with assigning the weights of each point to the model."""
    model, batch = build()
    r = probes.loss_surface(
        model,
        batch,
        directions=given,
        coordinates=coordinates,
        training=training,
        verbose=0,
    )
    vectors, weights = vectors_of(model, given, batch), present(model)
    expected = [
        plain(model, [batch], moved(weights, steps, vectors), training)
        for steps in np.ndindex(*r.losses.shape)
        for steps in [[coordinates[i] for i in steps]]
    ]
    rtol = 1e-12 if weights[0].dtype == np.float64 else 1e-6
    np.testing.assert_allclose(r.losses.ravel(), expected, rtol)
    np.testing.assert_allclose(r.loss, plain(model, [batch], weights, training), rtol)
    assert len(set(r.losses.ravel())) > 2


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_equals_assigning_weights(build, training):
    check_values(build, ["gradient", "random"], training)
    check_values(build, ["filter_normalized_random", "update"], training)


@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_equals_assigning_weights_along_eigenvectors(build):
    check_values(build, ["eigenvectors", "eigenvectors"], coordinates=(0.0, 0.7))


@pytest.mark.tensorflow
@pytest.mark.parametrize("build", MODELS, ids=lambda build: build.__name__)
def test_equals_assigning_weights_in_float64(build, float64):
    for training in (True, False):
        check_values(build, ["gradient", "random"], training)
        check_values(build, ["filter_normalized_random", "eigenvectors"], training)
        check_values(build, "update", training)


def test_axes_of_a_plane_are_its_lines():
    model, batch = example_models.bn_cnn()
    given = ["random", "gradient"]
    a, b = [-1.0, 0.5], [0.25, 0.0, -0.5]
    plane = probes.loss_surface(
        model, batch, directions=given, coordinates=[a, b], verbose=0
    )
    line = probes.loss_surface(
        model, batch, directions=given[:1], coordinates=a, verbose=0
    )
    assert plane.directions == ("random", "gradient")
    assert plane.losses.shape == (2, 3)
    np.testing.assert_array_equal(plane.losses[:, 1], line.losses)
    np.testing.assert_array_equal(plane.coordinates[0], a)
    np.testing.assert_array_equal(plane.coordinates[1], b)


def test_coordinates_span_the_extent():
    model, batch = example_models.mlp()
    other, _ = example_models.mlp()
    for given, extent, expected in (
        ("random", 0.5, [-0.5, 0, 0.5]),
        (other, 1.0, [0, 0.5, 1]),
        (other, 2.0, [-0.5, 0.5, 1.5]),
    ):
        r = probes.loss_surface(
            model, batch, directions=given, extent=extent, resolution=3, verbose=0
        )
        np.testing.assert_array_equal(r.coordinates, [expected])
    r = probes.loss_surface(model, batch, verbose=0, resolution=2)
    assert r.losses.shape == (2, 2)


def test_every_point_has_the_same_noise():
    for build in (example_models.noisy_bn_cnn, example_models.dropout):
        model, batch = build()
        nowhere = [np.zeros(v.shape, v.dtype) for v in model.trainable_variables]
        r = probes.loss_surface(model, batch, directions=nowhere, verbose=0)
        assert set(r.losses) == {r.loss}
        one, other = ((b,) for b in (batch, batch))
        r = probes.loss_surface(
            model, [*one, *other], directions=nowhere, resolution=2, verbose=0
        )
        assert set(r.losses) == {r.loss}


def test_batches_are_weighted_by_their_samples():
    model, (x, y) = example_models.bn_cnn()
    batches = [(x[:5], y[:5]), (x[5:], y[5:])]
    given = ["gradient", "eigenvectors"]
    r = probes.loss_surface(
        model, batches, directions=given, coordinates=[0.0, 0.5], verbose=0
    )
    weights = present(model)
    assert r.loss == pytest.approx(plain(model, batches, weights), rel=1e-6)
    # The derivative of the mean loss along its gradient is the squared gradient.
    gradients = [reference.value_and_grad(model, weights, *b)[1] for b in batches]
    mean = [(5 * g + 3 * h) / 8 for g, h in zip(*gradients, strict=True)]
    along = plain(model, batches, moved(weights, [-0.5], [mean]))
    assert r.losses[1, 0] == pytest.approx(along, rel=1e-5)
    together = probes.loss_surface(model, [x, y], directions="random", verbose=0)
    assert together.loss == pytest.approx(plain(model, [(x, y)], weights), rel=1e-6)
    # Iterables of batches are read once.
    again = probes.loss_surface(
        model,
        (batch for batch in batches),
        directions=given,
        coordinates=[0.0, 0.5],
        verbose=0,
    )
    np.testing.assert_array_equal(again.losses, r.losses)


def test_sample_weights_count():
    check_values(example_models.sample_weights, "gradient")


class Well(keras.layers.Layer):
    def build(self, shape):
        self.w = self.add_weight(shape=(), initializer="ones", name="w")

    def call(self, x):
        return x * self.w


def well(w):
    """L(w) = (w^2 - 1)^2 + w, with a minimum at either side of 0."""
    model = keras.Sequential([keras.Input((1,)), Well()], name="well")
    model.compile("sgd", lambda y, p: (p**2 - 1) ** 2 + p)
    model.trainable_variables[0].assign(w)
    return model


ONES = np.ones((2, 1), "float32")


def test_barrier_is_the_height_above_the_line_between_the_ends():
    model, other = well(-1.0), well(1.0)
    r = probes.loss_surface(
        model, (ONES, ONES), directions=other, extent=2.0, verbose=0
    )
    # L(w) = (w^2 - 1)^2 + w, and the line between both ends is w.
    w = 2 * r.coordinates[0] - 1
    np.testing.assert_allclose(r.losses, (w**2 - 1) ** 2 + w, atol=1e-5)
    assert r.loss == -1
    assert r.barrier == pytest.approx(1, rel=1e-6)
    assert r.directions == (f"to {other.name}",)
    r = probes.loss_surface(
        model, (ONES, ONES), directions=other, coordinates=[0.0, 0.5], verbose=0
    )
    assert np.isnan(r.barrier)
    r = probes.loss_surface(
        model, (ONES, ONES), directions=[other, other], resolution=2, verbose=0
    )
    np.testing.assert_allclose(r.losses, [[-1, 1], [1, 64 + 3]], rtol=1e-6)


def trained(seed):
    keras.utils.set_random_seed(seed)
    model, (x, y) = example_models.bn_cnn()
    model.fit(x, y, epochs=3, verbose=0)
    return model, (x, y)


def test_ends_have_their_own_losses_with_their_own_statistics():
    (model, (x, y)), (other, _) = trained(1), trained(2)
    batches = [(x[:4], y[:4]), (x[4:], y[4:])]
    r = probes.loss_surface(
        model,
        batches,
        directions=other,
        training=False,
        statistics=batches,
        coordinates=[0.0, 0.3, 1.0],
        verbose=0,
    )
    stale = probes.loss_surface(
        model, batches, directions=other, training=False, resolution=2, verbose=0
    )
    between = example_models.bn_cnn()[0]
    between.set_weights(model.get_weights())
    middle = [
        (1 - 0.3) * w + 0.3 * v
        for w, v in zip(present(model), present(other), strict=True)
    ]
    for variable, value in zip(between.trainable_variables, middle, strict=True):
        variable.assign(value)
    for end, expected in zip((model, between, other), r.losses, strict=True):
        kb.recompute_moving_statistics(end, batches)
        own = probes.loss_surface(
            end, batches, directions="random", training=False, resolution=2, verbose=0
        )
        if end is between:
            assert own.loss == pytest.approx(expected, rel=1e-6)
        else:
            assert own.loss == expected
        assert end.evaluate(x, y, verbose=0) == pytest.approx(expected, rel=1e-6)
    assert abs(stale.losses[1] - r.losses[2]) > 0.01


def test_leaves_everything_as_it_was():
    model, (x, y) = example_models.adam()
    model.fit(x, y, verbose=0)
    other, _ = example_models.adam()
    variables = [*model.variables, *model.optimizer.variables]
    variables += [*model.metrics_variables, *other.variables]
    before = [np.array(v.numpy()) for v in variables]
    state = np.random.get_state()[1].copy()
    for given in ("gradient", "update", "random", "eigenvectors", other):
        for training in (True, False):
            probes.loss_surface(
                model,
                (x, y),
                directions=given,
                training=training,
                resolution=2,
                verbose=0,
            )
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, variable.path)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


def test_losses_that_are_not_finite_stay(capsys):
    model, other = well(1.0), well(1.0)
    r = probes.loss_surface(
        model,
        (ONES, ONES),
        directions=[np.ones((), "float32")],
        coordinates=[0.0, 1.0, 1e12],
        verbose=1,
    )
    np.testing.assert_array_equal(r.losses[:2], [1, 11])
    assert r.losses[2] == np.inf
    assert r.note == "At 1 of 3 points the loss is not finite."
    assert "4/4" in capsys.readouterr().out
    r = probes.loss_surface(model, (ONES, ONES), directions=other, verbose=0)
    assert r.note == ""
    assert "4/4" not in capsys.readouterr().out


def test_starts_at_another_origin():
    model, batch = example_models.bn_cnn()
    rng = np.random.default_rng(0)
    origin, direction = (
        [rng.normal(size=w.shape).astype(w.dtype) for w in present(model)]
        for _ in range(2)
    )
    r = probes.loss_surface(
        model,
        batch,
        directions=[direction],
        origin=origin,
        coordinates=[0.5],
        verbose=0,
    )
    assert r.loss == pytest.approx(plain(model, [batch], origin), rel=1e-5)
    expected = plain(model, [batch], moved(origin, [0.5], [direction]))
    np.testing.assert_allclose(r.losses, [expected], rtol=1e-5)


def test_measures_a_given_loss():
    model, (x, y) = example_models.mlp()

    def size(model, x, y, sample_weight):
        return keras.ops.mean(keras.ops.square(model(x, training=True)))

    r = probes.loss_surface(
        model, (x, y), directions="random", resolution=2, loss=size, verbose=0
    )
    (vector,) = vectors_of(model, "random", (x, y))
    expected = [
        reference.value_and_grad(
            model, moved(present(model), [c], [vector]), x, y, loss=size
        )[0]
        for c in (-1.0, 1.0)
    ]
    np.testing.assert_allclose(r.losses, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"directions": "up"}, "directions must be .* file .* received 'up'"),
        ({"directions": []}, r"directions must be .* received \[\]"),
        ({"directions": ["random"] * 3}, r"directions must be .* received \['random'"),
        ({"directions": [ONES]}, "direction 1.* must hold one array per trainable"),
        ({"directions": [np.full((), np.nan)]}, "direction 1.* has NaN or infinite"),
        ({"directions": 3}, "directions must be .* received 3"),
        ({"directions": ["random", 3]}, "directions must be .* received 3"),
        ({"origin": [ONES]}, "origin must hold one array per trainable"),
        ({"coordinates": [0.0, np.nan]}, "coordinates must be finite"),
        ({"coordinates": [[0.0], [1.0]]}, "coordinates must be finite"),
        ({"coordinates": 1.0}, "coordinates must be finite"),
        ({"extent": np.nan}, "coordinates must be finite"),
        ({"resolution": 0}, "coordinates must be finite"),
        ({"statistics": [ONES]}, "statistics= takes training=False"),
        (
            {"training": False, "loss": example_models.mlp},
            "training=False the compiled",
        ),
        ({"training": False, "statistics": [ONES]}, "no moving statistics"),
        ({"data": 3}, "data must be a batch"),
        ({"data": []}, "data must have at least one batch"),
    ],
)
def test_refuses_in_one_line(arguments, message):
    arguments = {"data": (ONES, ONES), "directions": "gradient"} | arguments
    with pytest.raises(ValueError, match=message) as error:
        probes.loss_surface(well(1.0), verbose=0, **arguments)
    assert "\n" not in str(error.value)


calls = []


@pytest.mark.skipif(
    keras.backend.backend() == "torch", reason="torch runs eagerly and traces nothing"
)
def test_traces_once():
    class Counting(keras.layers.Dense):
        def call(self, inputs):
            calls.append(inputs.shape)
            return super().call(inputs)

    inputs = keras.Input((4,))
    model = keras.Model(inputs, Counting(2)(inputs))
    model.compile("sgd", "mse")
    batch = np.ones((8, 4)), np.ones((8, 2))
    probes.loss_surface(model, batch, resolution=2, verbose=0)
    calls.clear()
    probes.loss_surface(model, batch, resolution=5, extent=2.0, verbose=0)
    assert not calls
