"""Numbers that a model's optimizer holds, whatever devices hold them."""

import keras


def step(model):
    """Returns the number of updates made so far."""
    return int(_number(model.optimizer.iterations))


def learning_rate(model):
    """Returns the present learning rate."""
    return float(_number(model.optimizer.learning_rate))


def _number(value):
    """A variable or tensor as a NumPy scalar."""
    return keras.ops.convert_to_numpy(keras.ops.convert_to_tensor(value))
