"""Models with so few weights that their Hessians can be computed entry by entry."""

import keras
import numpy as np
from keras import layers, ops

from keras_bnsmooth.layers import LpNormalization, NoisyBatchNormalization
from keras_bnsmooth.models import dln
from tests.probes import reference


def _floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def _labels(count=8):
    return np.random.default_rng(1).integers(0, 3, count)


def compiled(*stack, inputs=(5,), loss=None, **arguments):
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(inputs), *stack])
    loss = loss or keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, **arguments)
    return model


def mlp(**arguments):
    model = compiled(layers.Dense(4, "tanh"), layers.Dense(3), **arguments)
    return model, (_floats(8, 5), _labels())


def cnn(norm, **arguments):
    model = compiled(
        layers.Conv2D(3, 2, use_bias=False, kernel_initializer="he_normal"),
        norm(),
        layers.Activation("tanh"),
        layers.AveragePooling2D(2),  # without kinks
        layers.Flatten(),
        layers.Dense(3),
        inputs=(5, 5, 2),
        **arguments,
    )
    return model, (_floats(8, 5, 5, 2), _labels())


def bn_cnn(**arguments):
    return cnn(layers.BatchNormalization, **arguments)


def noisy_bn_cnn(**arguments):
    return cnn(lambda: NoisyBatchNormalization(seed=3), **arguments)


def l1_cnn():
    return cnn(lambda: LpNormalization(p=1))


def linf_cnn():
    return cnn(lambda: LpNormalization(p=np.inf))


def layer_norm_mlp():
    model = compiled(
        layers.Dense(6), layers.LayerNormalization(), layers.Dense(3, "softplus")
    )
    return model, (_floats(8, 5), _labels())


def deep_linear():
    model = dln(depth=4, dim=3, norm="bn", seed=0)
    model.compile("sgd", keras.losses.MeanSquaredError(reduction="sum"))
    return model, (_floats(16, 3), _floats(16, 3, seed=1))


def dropout_and_regularizer():
    model = compiled(
        layers.Dense(6, "tanh", kernel_regularizer=keras.regularizers.L2(0.1)),
        layers.Dropout(0.3, seed=4),
        layers.Dense(3),
    )
    return model, (_floats(8, 5), _labels())


def two_inputs():
    def custom(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred) ** 3, axis=-1)

    keras.utils.set_random_seed(0)
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    x = layers.Concatenate()([layers.Dense(3)(left), layers.Dense(2)(right)])
    outputs = layers.Dense(2)(layers.Activation("tanh")(x))
    model = keras.Model({"left": left, "right": right}, outputs)
    model.compile("sgd", custom)
    x = {"left": _floats(8, 3), "right": _floats(8, 2, seed=2)}
    return model, (x, _floats(8, 2, seed=1))


def embedding_and_shared():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((4,), dtype="int32")
    dense = layers.Dense(3, activation="tanh")
    x = layers.GRU(3)(layers.Embedding(6, 3)(inputs))
    model = keras.Model(inputs, dense(dense(x)))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss)
    return model, (np.random.default_rng(0).integers(0, 6, (8, 4)), _labels())


class _Idle(layers.Layer):
    def build(self, shape):
        self.idle = self.add_weight(shape=(2,), name="idle")

    def call(self, x):
        return x


def unconnected():
    model = compiled(_Idle(), layers.Dense(4, "gelu"), layers.Dense(3))
    return model, (_floats(8, 5), _labels())


def weighted():
    model, (x, y) = mlp()
    return model, (x, y, np.linspace(0, 2, 8))


# With kinks, which differences of single precision are too coarse for.
KINKED = (l1_cnn, linf_cnn)
KINDS = (
    mlp,
    bn_cnn,
    noisy_bn_cnn,
    layer_norm_mlp,
    deep_linear,
    dropout_and_regularizer,
    two_inputs,
    embedding_and_shared,
    unconnected,
    weighted,
)
if keras.backend.backend() == "tensorflow":
    KINDS += KINKED
elif keras.backend.backend() == "jax":  # where each evaluation takes long to compile
    KINDS = (mlp, noisy_bn_cnn, two_inputs)


def flat(arrays):
    """Returns arrays as one float64 vector."""
    return np.concatenate([np.asarray(a, np.float64).ravel() for a in arrays])


def unflat(model, vector):
    """Returns a vector as arrays of the shapes and dtypes of the weights."""
    variables = model.trainable_variables
    sizes = [int(np.prod(v.shape)) for v in variables]
    parts = np.split(vector, np.cumsum(sizes)[:-1])
    return [
        part.reshape(v.shape).astype(v.dtype)
        for part, v in zip(parts, variables, strict=True)
    ]


def dense_hessian(model, batch):
    """Returns g and H by central differences of the gradient, the slow, obvious way."""
    # Other backends of Keras take means in single precision.
    step = 1e-5 if keras.backend.backend() == "tensorflow" else 1e-3
    here = flat(v.numpy() for v in model.trainable_variables)

    def gradient(vector):
        weights = unflat(model, vector)
        return flat(reference.value_and_grad(model, weights, *batch)[1])

    columns = [
        (gradient(here + step * e) - gradient(here - step * e)) / (2 * step)
        for e in np.eye(len(here))
    ]
    hessian = np.stack(columns, axis=1)
    return gradient(here), (hessian + hessian.T) / 2
