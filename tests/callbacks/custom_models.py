"""Small models with training steps of their own, written as Keras' examples are."""

import keras
import numpy as np
from keras import layers, ops

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 6)).astype("float32")
LABELS = RNG.integers(0, 3, 12)


class OwnStep(keras.Model):
    """Minimizes `self.total_loss(x, y)` and logs it as `total`."""

    def train_step(self, *arguments):
        steps = {
            "tensorflow": self._tensorflow_step,
            "jax": self._jax_step,
            "torch": self._torch_step,
        }
        return steps[keras.backend.backend()](*arguments)

    def _tensorflow_step(self, data):
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss = self.total_loss(*data)
        gradient = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(
            zip(gradient, self.trainable_variables, strict=True)
        )
        return {"total": loss}

    def _jax_step(self, state, data):
        import jax

        weights, others, optimizer, metrics = state

        def loss_and_others(weights, others):
            variables = self.trainable_variables + self.non_trainable_variables
            values = zip(variables, weights + others, strict=True)
            with keras.StatelessScope(values) as scope:
                loss = self.total_loss(*data)
            variables = self.non_trainable_variables
            return loss, [scope.get_current_value(v) for v in variables]

        differentiate = jax.value_and_grad(loss_and_others, has_aux=True)
        (loss, others), gradient = differentiate(weights, others)
        weights, optimizer = self.optimizer.stateless_apply(
            optimizer, gradient, weights
        )
        return {"total": loss}, (weights, others, optimizer, metrics)

    def _torch_step(self, data):
        import torch

        self.zero_grad()
        loss = self.total_loss(*data)
        loss.backward()
        with torch.no_grad():
            self.optimizer.apply(
                [v.value.grad for v in self.trainable_variables],
                self.trainable_variables,
            )
        return {"total": loss.detach()}


def total_loss(model, x, y, sample_weight):
    """What to pass as `loss=`."""
    return model.total_loss(x, y)


class VAE(OwnStep):
    """https://keras.io/examples/generative/vae"""

    def __init__(self):
        super().__init__()
        self.encoder = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(4)])
        self.decoder = keras.Sequential([layers.Dense(8, "relu"), layers.Dense(6)])
        self.noise = keras.random.SeedGenerator(1)

    def call(self, x, training=False):
        mean, log_variance = ops.split(self.encoder(x), 2, axis=-1)
        epsilon = keras.random.normal(ops.shape(mean), seed=self.noise)
        z = mean + ops.exp(0.5 * log_variance) * epsilon
        return self.decoder(z), mean, log_variance

    def total_loss(self, x, y):
        decoded, mean, log_variance = self(x, training=True)
        error = ops.sum(ops.square(x - decoded), axis=-1)
        divergence = -0.5 * ops.sum(
            1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=-1
        )
        return ops.mean(error + divergence)


class Contrastive(OwnStep):
    """https://keras.io/examples/vision/semisupervised_simclr"""

    def __init__(self):
        super().__init__()
        self.augmenter = layers.GaussianNoise(0.3, seed=1)
        self.encoder = keras.Sequential(
            [layers.Dense(8), layers.BatchNormalization(), layers.ReLU()]
        )
        self.projection = layers.Dense(4)

    def call(self, x, training=False):
        x = self.augmenter(x, training=training)
        return self.projection(self.encoder(x, training=training))

    def total_loss(self, x, y):
        one, other = (ops.normalize(self(x, training=True), axis=-1) for _ in range(2))
        similarities = ops.matmul(one, ops.transpose(other)) / 0.1
        labels = ops.arange(x.shape[0])
        return ops.mean(
            ops.sparse_categorical_crossentropy(labels, similarities, from_logits=True)
            + ops.sparse_categorical_crossentropy(
                labels, ops.transpose(similarities), from_logits=True
            )
        )


class Adversarial(OwnStep):
    """Half on the batch and half on what the fast gradient sign method makes of it."""

    def __init__(self):
        super().__init__()
        self.hidden, self.head = layers.Dense(8, "tanh"), layers.Dense(3)

    def call(self, x, training=False):
        return self.head(self.hidden(x))

    def _crossentropy(self, x, y):
        return ops.mean(
            ops.sparse_categorical_crossentropy(y, self(x, training=True), True)
        )

    def total_loss(self, x, y):
        gradient = _input_gradient(lambda x: self._crossentropy(x, y), x)
        attacked = x + 0.1 * ops.stop_gradient(ops.sign(gradient))
        return 0.5 * (self._crossentropy(x, y) + self._crossentropy(attacked, y))


class MetricLearning(keras.Model):
    """https://keras.io/examples/vision/metric_learning

    A functional model, whose batches hold two samples for each of its inputs.
    """

    # Keras replaces the base class of functional models, for all that share it.
    train_step = OwnStep.train_step
    _tensorflow_step = OwnStep._tensorflow_step
    _jax_step = OwnStep._jax_step
    _torch_step = OwnStep._torch_step

    def total_loss(self, x, y):
        anchors, positives = (self(x[:, i], training=True) for i in range(2))
        similarities = ops.matmul(anchors, ops.transpose(positives)) / 0.2
        labels = ops.arange(x.shape[0])
        return ops.mean(
            ops.sparse_categorical_crossentropy(labels, similarities, from_logits=True)
        )


def build_metric_learning(learning_rate=0.05):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((3,))
    outputs = layers.Dense(4)(layers.Dense(8, "tanh")(inputs))
    model = MetricLearning(inputs, layers.UnitNormalization()(outputs))
    model.compile(keras.optimizers.SGD(learning_rate))
    return model


def _input_gradient(function, x):
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            tape.watch(x)
            value = function(x)
        return tape.gradient(value, x)
    if keras.backend.backend() == "jax":
        import jax

        return jax.grad(function)(x)
    import torch

    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(function(x), x)[0]


class GAN(keras.Model):
    """https://keras.io/examples/generative/dcgan_overriding_train_step

    Both updates are made from the same weights, on the same latent vectors.
    """

    def __init__(self):
        super().__init__()
        self.discriminator = keras.Sequential(
            [layers.Dense(8, "tanh"), layers.Dense(1)]
        )
        self.generator = keras.Sequential([layers.Dense(8, "tanh"), layers.Dense(6)])
        self.noise = keras.random.SeedGenerator(1)

    def compile(self, d_optimizer, g_optimizer):
        super().compile()
        self.d_optimizer, self.g_optimizer = d_optimizer, g_optimizer

    def _latent(self, x):
        return keras.random.normal((x.shape[0], 4), seed=self.noise)

    def losses_at(self, real, latent):
        fake = self.generator(latent)
        d_loss = ops.mean(
            ops.softplus(-self.discriminator(real))
            + ops.softplus(self.discriminator(ops.stop_gradient(fake)))
        )
        frozen = [ops.stop_gradient(v) for v in self.discriminator.trainable_variables]
        judged, _ = self.discriminator.stateless_call(frozen, [], fake)
        return d_loss, ops.mean(ops.softplus(-judged))

    def train_step(self, data):
        (real,) = data if isinstance(data, tuple) else (data,)
        parts = self.discriminator, self.generator
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            with tf.GradientTape(persistent=True) as tape:
                both = self.losses_at(real, self._latent(real))
            gradients = [
                tape.gradient(loss, part.trainable_variables)
                for loss, part in zip(both, parts, strict=True)
            ]
        else:
            import torch

            both = self.losses_at(real, self._latent(real))
            gradients = [
                torch.autograd.grad(loss, [v.value for v in part.trainable_variables])
                for loss, part in zip(both, parts, strict=True)
            ]
        optimizers = self.d_optimizer, self.g_optimizer
        for optimizer, part, gradient in zip(optimizers, parts, gradients, strict=True):
            if keras.backend.backend() == "torch":
                with torch.no_grad():
                    optimizer.apply(list(gradient), part.trainable_variables)
            else:
                optimizer.apply(gradient, part.trainable_variables)
        return {"d_loss": both[0], "g_loss": both[1]}


def d_loss(model, x, y, sample_weight):
    return model.losses_at(x, model._latent(x))[0]


def g_loss(model, x, y, sample_weight):
    return model.losses_at(x, model._latent(x))[1]


def build(cls, learning_rate=0.05):
    keras.utils.set_random_seed(0)
    model = cls()
    model(X)
    model.compile(keras.optimizers.SGD(learning_rate))
    return model


def build_gan():
    keras.utils.set_random_seed(0)
    model = GAN()
    model.discriminator.build((None, 6))
    model.generator.build((None, 4))
    # It has no `call`, and TensorFlow alone trains what is not built.
    model.built = keras.backend.backend() != "tensorflow"
    model.compile(keras.optimizers.SGD(0.05), keras.optimizers.SGD(0.1))
    return model
