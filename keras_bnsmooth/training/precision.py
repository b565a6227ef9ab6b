"""The precision of all arithmetic."""

import keras


def set_precision(dtype):
    """Makes Keras and its backend compute in `dtype`, `"float32"` or `"float64"`."""
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    if keras.backend.backend() == "jax" and dtype == "float64":
        import jax

        # Without it JAX rounds to float32 whatever it is given.
        jax.config.update("jax_enable_x64", True)
