"""Small compiled models of many kinds, each with a batch that fits it."""

import keras
import numpy as np
from keras import layers, ops

from keras_bnsmooth.layers import NoisyBatchNormalization
from keras_bnsmooth.models import dln

CLASSES = 3


def _floats(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _labels(count=8, seed=1):
    return np.random.default_rng(seed).integers(0, CLASSES, count)


def _crossentropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _classifier(inputs, outputs, **arguments):
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.1), _crossentropy(), **arguments)
    return model


def mlp(**arguments):
    x = inputs = keras.Input((6,))
    x = layers.Dense(16, activation="tanh", name="dense1")(x)
    x = layers.Dense(CLASSES, name="dense2")(x)
    return _classifier(inputs, x, **arguments), (_floats(8, 6), _labels())


def _cnn(norm, **arguments):
    x = inputs = keras.Input((8, 8, 2))
    x = layers.Conv2D(4, 3, use_bias=False, name="conv1")(x)
    x = layers.ReLU()(norm(name="norm1")(x))
    x = layers.Conv2D(6, 3, use_bias=False, name="conv2")(x)
    x = layers.ReLU()(norm(name="norm2")(x))
    x = layers.Dense(CLASSES, name="logits")(layers.Flatten()(x))
    return _classifier(inputs, x, **arguments), (_floats(8, 8, 8, 2), _labels())


def bn_cnn(**arguments):
    return _cnn(layers.BatchNormalization, **arguments)


def noisy_bn_cnn(**arguments):
    def norm(name):
        return NoisyBatchNormalization(seed=len(name), name=name)

    return _cnn(norm, **arguments)


def deep_linear(norm="none", **arguments):
    model = dln(depth=5, dim=4, norm=norm, seed=0)
    loss = keras.losses.MeanSquaredError(reduction="sum")
    model.compile(keras.optimizers.SGD(1e-3), loss, **arguments)
    return model, (_floats(32, 4), _floats(32, 4, seed=1))


def two_inputs(**arguments):
    def custom(y_true, y_pred):
        return ops.mean(ops.abs(y_true - y_pred) ** 1.5, axis=-1)

    left = keras.Input((3,), name="left")
    right = keras.Input((4,), name="right")
    x = layers.Concatenate()([layers.Dense(5)(left), layers.Dense(5)(right)])
    outputs = layers.Dense(2)(layers.Activation("tanh")(x))
    model = keras.Model({"left": left, "right": right}, outputs)
    model.compile(keras.optimizers.SGD(0.1), custom, **arguments)
    x = {"left": _floats(8, 3), "right": _floats(8, 4, seed=2)}
    return model, (x, _floats(8, 2, seed=1))


def two_outputs():
    inputs = keras.Input((3,))
    x = layers.Dense(5, activation="tanh")(inputs)
    a, b = layers.Dense(1, name="a")(x), layers.Dense(CLASSES, name="b")(x)
    model = keras.Model(inputs, {"a": a, "b": b})
    model.compile(
        "sgd", {"a": "mse", "b": _crossentropy()}, loss_weights={"a": 0.5, "b": 2.0}
    )
    return model, (_floats(8, 3), {"a": _floats(8, 1, seed=1), "b": _labels()})


def nested():
    block = keras.Sequential(
        [layers.Dense(5), layers.BatchNormalization(), layers.Dense(4)], name="block"
    )
    inputs = keras.Input((6,))
    x = layers.Dense(CLASSES, name="head")(block(layers.Dense(6, name="stem")(inputs)))
    return _classifier(inputs, x), (_floats(8, 6), _labels())


class OwnWeight(keras.Model):
    def __init__(self):
        super().__init__()
        self.dense = layers.Dense(5, activation="tanh")
        self.head = layers.Dense(CLASSES)
        self.scale = self.add_weight(shape=(), initializer="ones", name="scale")

    def call(self, x):
        return self.scale * self.head(self.dense(x))


def subclassed():
    model = OwnWeight()
    model.compile("sgd", _crossentropy())
    batch = _floats(8, 6), _labels()
    model(batch[0])
    return model, batch


class OwnLoss(keras.Model):
    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None):
        return ops.mean(ops.square(y - y_pred)) + 0.1 * ops.mean(ops.square(x))


def own_compute_loss():
    inputs = keras.Input((4,))
    model = OwnLoss(inputs, layers.Dense(2)(inputs))
    model.compile("sgd")
    return model, (_floats(8, 4), _floats(8, 2, seed=1))


def added_losses():
    inputs = keras.Input((6,))
    x = layers.Dense(
        8,
        activation="relu",
        kernel_regularizer=keras.regularizers.L2(0.1),
        activity_regularizer=keras.regularizers.L1(0.01),
    )(inputs)
    return _classifier(inputs, layers.Dense(CLASSES)(x)), (_floats(8, 6), _labels())


def frozen():
    model, batch = mlp()
    model.get_layer("dense1").trainable = False
    model.compile("sgd", _crossentropy())
    return model, batch


def shared():
    inputs = keras.Input((6,))
    dense = layers.Dense(6, activation="tanh", name="shared")
    x = layers.Dense(CLASSES)(dense(layers.Dense(6, name="between")(dense(inputs))))
    return _classifier(inputs, x), (_floats(8, 6), _labels())


def dropout():
    inputs = keras.Input((6,))
    x = layers.Dropout(0.5, seed=3)(layers.Dense(16, activation="relu")(inputs))
    x = layers.GaussianNoise(0.3, seed=4)(x)
    return _classifier(inputs, layers.Dense(CLASSES)(x)), (_floats(8, 6), _labels())


def recurrent():
    inputs = keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 5)(inputs)
    x = layers.Bidirectional(layers.LSTM(4, recurrent_dropout=0.2, seed=5))(x)
    tokens = np.random.default_rng(0).integers(0, 20, (8, 7))
    return _classifier(inputs, layers.Dense(CLASSES)(x)), (tokens, _labels())


def attention():
    inputs = keras.Input((5, 6))
    x = layers.MultiHeadAttention(2, 3)(inputs, inputs)
    x = layers.LayerNormalization()(x)
    x = layers.Dense(CLASSES)(layers.GlobalAveragePooling1D()(x))
    return _classifier(inputs, x), (_floats(8, 5, 6), _labels())


def unconnected():
    """The scale of a layer that the loss does not depend on has no gradient."""

    class Idle(layers.Layer):
        def build(self, shape):
            self.idle = self.add_weight(shape=(2,), name="idle")

        def call(self, x):
            return x

    inputs = keras.Input((6,))
    x = layers.Dense(CLASSES)(Idle(name="idle")(layers.Dense(4)(inputs)))
    return _classifier(inputs, x), (_floats(8, 6), _labels())


def eager():
    return bn_cnn(run_eagerly=True)


def momentum():
    model, batch = mlp()
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), _crossentropy())
    return model, batch


def adam():
    model, batch = dropout()
    model.compile(keras.optimizers.Adam(0.01), _crossentropy())
    return model, batch


def sample_weights():
    model, (x, y) = bn_cnn()
    return model, (x, y, np.linspace(0, 2, 8).astype("float32"))


PAPER = (mlp, bn_cnn, noisy_bn_cnn, deep_linear, two_inputs)
KINDS = (
    two_outputs,
    nested,
    subclassed,
    own_compute_loss,
    added_losses,
    frozen,
    shared,
    dropout,
    recurrent,
    attention,
    unconnected,
    eager,
    momentum,
    adam,
    sample_weights,
)
