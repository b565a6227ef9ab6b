"""The precision of all arithmetic."""

import keras


def set_precision(dtype):
    """Makes Keras and its backend compute in `dtype`, `"float32"` or `"float64"`.

    Raises:
        ValueError: `dtype` is float64 and the backend is torch, on which Keras turns
            the products of float64 tensors into float32.
    """
    backend = keras.backend.backend()
    if dtype == "float64" and backend == "torch":
        raise ValueError(
            "float64 is not to be had on torch, where Keras rounds to float32; "
            "set KERAS_BACKEND to tensorflow or jax, or take float32."
        )
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    if dtype == "float64" and backend == "jax":
        import jax

        # Without it JAX rounds to float32 whatever it is given.
        jax.config.update("jax_enable_x64", True)
