import keras
import pytest


def pytest_collection_modifyitems(items):
    """Skips tests of TensorFlow's own features on the other backends."""
    if keras.backend.backend() != "tensorflow":
        skip = pytest.mark.skip(reason="needs the TensorFlow backend")
        for item in items:
            if item.get_closest_marker("tensorflow"):
                item.add_marker(skip)


@pytest.fixture
def x64():
    """Enables double precision on JAX, where it is off by default."""
    if keras.backend.backend() != "jax":
        yield
        return
    try:
        from jax import enable_x64
    except ImportError:  # before JAX 0.8
        from jax.experimental import enable_x64

    with enable_x64(True):
        yield


@pytest.fixture
def float64():
    """Makes float64 the default of all computations where Keras supports it.

    Elsewhere it rounds to float32, and probes refuse float64.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
