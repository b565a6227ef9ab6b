"""The loss that `model.fit` minimizes, as a function of the weights."""

from keras import ops

from keras_bnsmooth.autodiff.stateless import call, stateless


def training_loss(model, weights, state, x, y, sample_weight):
    """Returns L(W) on a batch, in training mode, leaving the model untouched.

    The same lines as `keras.Model.train_step`: compiled losses, `add_loss`,
    regularizers and an overridden `compute_loss` all count.

    Args:
        model: A built, compiled `keras.Model`.
        weights: W, one tensor for each of `model.trainable_variables`.
        state: One tensor for each of `model.non_trainable_variables`.
        x: Inputs of the batch.
        y: Targets of the batch, or None.
        sample_weight: Weights of the samples, or None.

    Returns:
        Scalar tensor.
    """
    with stateless(model, weights, state):
        y_pred = call(model, x)
        # Within the scope: regularizers read the weights too.
        return model._compute_loss(x, y, y_pred, sample_weight, training=True)


def loss_scale(model):
    """Returns by what the optimizer multiplies the loss, a scalar tensor, or None.

    Under mixed float16 it does so against underflow; the gradient of the scaled loss
    is to be divided by the same number.
    """
    optimizer = model.optimizer
    if optimizer is None:
        return None
    one = ops.ones(())
    scaled = optimizer.scale_loss(one)
    return None if scaled is one else scaled
