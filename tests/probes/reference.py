"""The slow, obvious way: set the weights, call the model, differentiate, restore."""

import contextlib

import keras
import numpy as np


@contextlib.contextmanager
def restored(model):
    """Puts all variables back, moving statistics and seeds included."""
    # Copies, since on torch `numpy()` shows the variable's own memory.
    values = [np.array(v.numpy()) for v in model.variables]
    try:
        yield
    finally:
        for variable, value in zip(model.variables, values, strict=True):
            variable.assign(value)


def compiled_loss(model, x, y, sample_weight):
    y_pred = model(x, training=True)
    return model.compute_loss(x, y, y_pred, sample_weight)


def value_and_grad(model, weights, x, y, sample_weight=None, loss=compiled_loss):
    """Loss and gradient at `weights`, with the draws that are next in line."""
    differentiate = {
        "tensorflow": _differentiate_on_tensorflow,
        "jax": _differentiate_on_jax,
        "torch": _differentiate_on_torch,
    }[keras.backend.backend()]
    x, y, sample_weight = keras.tree.map_structure(
        lambda part: None if part is None else keras.ops.convert_to_tensor(part),
        (x, y, sample_weight),
    )
    with restored(model):
        for variable, value in zip(model.trainable_variables, weights, strict=True):
            variable.assign(value)
        value, gradient = differentiate(model, loss, x, y, sample_weight)
    gradient = [
        np.zeros(v.shape) if g is None else keras.ops.convert_to_numpy(g)
        for g, v in zip(gradient, model.trainable_variables, strict=True)
    ]
    return float(value), [g.astype(np.float64) for g in gradient]


def _differentiate_on_tensorflow(model, loss, x, y, sample_weight):
    import tensorflow as tf

    def evaluate():
        variables = [v.value for v in model.trainable_variables]
        with tf.GradientTape() as tape:
            value = loss(model, x, y, sample_weight)
        gradient = tape.gradient(value, variables)
        return value, [g if g is None else tf.convert_to_tensor(g) for g in gradient]

    # XLA draws other random numbers from the same seed.
    if model.jit_compile:
        evaluate = tf.function(evaluate, jit_compile=True)
    return evaluate()


def _differentiate_on_jax(model, loss, x, y, sample_weight):
    import jax

    state = [v.value for v in model.non_trainable_variables]

    def evaluate(weights):
        # Seeds must come in by the scope, as what is traced may assign to them.
        variables = model.trainable_variables + model.non_trainable_variables
        values = zip(variables, weights + state, strict=True)
        with keras.StatelessScope(values, collect_losses=True):
            return loss(model, x, y, sample_weight)

    return jax.value_and_grad(evaluate)([v.value for v in model.trainable_variables])


def _differentiate_on_torch(model, loss, x, y, sample_weight):
    model.zero_grad()  # a training step leaves its gradient
    value = loss(model, x, y, sample_weight)
    variables = [v.value for v in model.trainable_variables]
    value.backward()
    gradient = [None if v.grad is None else v.grad.clone() for v in variables]
    model.zero_grad()
    return value.detach(), gradient


def norm(arrays):
    return np.sqrt(sum(np.sum(np.square(np.asarray(a, np.float64))) for a in arrays))


def landscape(
    model, x, y, step_sizes, sample_weight=None, direction=None, loss=compiled_loss
):
    """Returns loss, gradient norm, losses, gradient distances and beta."""
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    start, g = value_and_grad(model, weights, x, y, sample_weight, loss)
    direction = g if direction is None else [norm(g) * d for d in direction]
    losses, distances = [], []
    for s in step_sizes:
        moved = [
            (w - s * d).astype(w.dtype) for w, d in zip(weights, direction, strict=True)
        ]
        moved_loss, moved_g = value_and_grad(model, moved, x, y, sample_weight, loss)
        losses.append(moved_loss)
        distances.append(norm([a - b for a, b in zip(moved_g, g, strict=True)]))
    beta = max(d / (s * norm(g)) for d, s in zip(distances, step_sizes, strict=True))
    return start, norm(g), np.array(losses), np.array(distances), beta


def internal_covariate_shift(model, groups, x, y, learning_rate, sample_weight=None):
    """Returns l2 [L] and cosine [L] for groups of positions of weights, in order."""
    weights = [np.array(v.numpy()) for v in model.trainable_variables]
    _, g = value_and_grad(model, weights, x, y, sample_weight)
    moved = [w - learning_rate * d for w, d in zip(weights, g, strict=True)]
    l2, cosine = [], []
    for number, group in enumerate(groups):
        before = {position for earlier in groups[:number] for position in earlier}
        mixed = [moved[i] if i in before else w for i, w in enumerate(weights)]
        _, g_mixed = value_and_grad(model, mixed, x, y, sample_weight)
        a = np.concatenate([g[i].ravel() for i in group])
        b = np.concatenate([g_mixed[i].ravel() for i in group])
        l2.append(norm([a - b]))
        cosine.append(a @ b / (norm([a]) * norm([b])))
    return np.array(l2), np.array(cosine)
