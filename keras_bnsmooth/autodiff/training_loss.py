"""The loss that `model.fit` minimizes, as a function of the weights."""

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
