import importlib.util
import random

import keras
import numpy as np
import pytest

from keras_bnsmooth.autodiff.generators import preserve_global_generators


def of_tensorflow(draw):
    return lambda: np.array(draw(pytest.importorskip("tensorflow")))


def of_torch(draw):
    return lambda: np.array(draw(pytest.importorskip("torch")))


DRAWS = {
    "python": random.random,
    "numpy": lambda: np.random.normal(size=3),
    "keras": lambda: np.array(keras.ops.convert_to_numpy(keras.random.normal((3,)))),
    "torch": of_torch(lambda torch: torch.randn(3)),
    "tensorflow": of_tensorflow(lambda tf: tf.random.normal((3,))),
    "tensorflow_generator": of_tensorflow(
        lambda tf: tf.random.get_global_generator().normal((3,))
    ),
}
# Keras and its programs seed TensorFlow only on its own backend.
if keras.backend.backend() != "tensorflow":
    DRAWS = {k: v for k, v in DRAWS.items() if not k.startswith("tensorflow")}


def seed():
    keras.utils.set_random_seed(1)
    if importlib.util.find_spec("torch") is not None:
        importlib.import_module("torch").manual_seed(1)
    if keras.backend.backend() == "tensorflow":
        random_module = importlib.import_module("tensorflow").random
        random_module.set_global_generator(random_module.Generator.from_seed(1))


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
@pytest.mark.parametrize("used_before", [False, True])
def test_what_is_drawn_inside_changes_nothing_outside(draw, used_before):
    seed()
    if used_before:
        draw()
    expected = [draw() for _ in range(3)]
    assert not np.array_equal(expected[0], expected[1])

    seed()
    if used_before:
        draw()
    drawn = []
    for _ in range(3):
        with preserve_global_generators():
            for _ in range(5):
                draw()
        drawn.append(draw())
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize(
    "draw", [draw for name, draw in DRAWS.items() if name != "tensorflow"]
)
def test_replays(draw):
    seed()
    with preserve_global_generators():
        first = [draw() for _ in range(3)]
    with preserve_global_generators():
        np.testing.assert_array_equal([draw() for _ in range(3)], first)


def test_restores_when_an_exception_is_raised():
    seed()
    expected = [draw() for draw in DRAWS.values()]
    seed()
    with pytest.raises(RuntimeError), preserve_global_generators():
        for draw in DRAWS.values():
            draw()
        raise RuntimeError
    for draw, value in zip(DRAWS.values(), expected, strict=True):
        np.testing.assert_array_equal(draw(), value)


def test_seeding_inside_changes_nothing_outside():
    seed()
    expected = [draw() for draw in DRAWS.values()]
    seed()
    with preserve_global_generators():
        keras.utils.set_random_seed(7)
    for draw, value in zip(DRAWS.values(), expected, strict=True):
        np.testing.assert_array_equal(draw(), value)
