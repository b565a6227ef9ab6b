"""The loss of the deep linear network, ||W_1 ... W_k x - A x||^2."""

import keras
from keras import ops

# How a reduction's name reads: over the samples, then over the outputs.
_REDUCTIONS = {
    "sum_mean": ("sum", ops.mean),
    "sum_sum": ("sum", ops.sum),
    "mean_sum": ("sum_over_batch_size", ops.sum),
}
REDUCTIONS = tuple(_REDUCTIONS)


@keras.saving.register_keras_serializable(package="keras_bnsmooth")
class SquaredError(keras.losses.Loss):
    """Squared error, reduced over samples and outputs in one of three ways.

    The paper does not say how it reduces the squared error, and its learning rate
    of 1e-6 means something else under each reduction.

    Args:
        reduction: How to reduce over the n samples and the d outputs:
            `"sum_mean"` sums over samples and takes the mean over outputs, which is
            Keras' `MeanSquaredError(reduction="sum")`; `"sum_sum"` sums over both;
            `"mean_sum"` takes the mean over samples and sums over outputs.
        name: Of the loss.
        dtype: Of the computation; None takes `keras.config.floatx()`.

    Raises:
        ValueError: `reduction` is none of these.

    Example:
    ```python
    model.compile(keras.optimizers.SGD(1e-6), SquaredError("sum_mean"))
    ```
    """

    def __init__(self, reduction="sum_mean", name="squared_error", dtype=None):
        if reduction not in _REDUCTIONS:
            raise ValueError(
                f"reduction must be one of {', '.join(REDUCTIONS)}; "
                f"received {reduction!r}."
            )
        over_samples, self._over_outputs = _REDUCTIONS[reduction]
        super().__init__(name=name, reduction=over_samples, dtype=dtype)
        self._reduction_name = reduction

    def call(self, y_true, y_pred):
        """Returns the loss of each sample: [n, d] and [n, d] -> [n]."""
        return self._over_outputs(ops.square(y_pred - y_true), axis=-1)

    def scale_to_full_sum(self, samples, outputs):
        """The factor from this loss to the sum over all samples and outputs."""
        return {
            "sum_mean": outputs,
            "sum_sum": 1,
            "mean_sum": samples,
        }[self._reduction_name]

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            "reduction": self._reduction_name,
            "name": self.name,
            "dtype": self.dtype,
        }
