import keras
import pytest


@pytest.fixture
def on_jax():
    if keras.backend.backend() != "jax":
        pytest.skip("needs the JAX backend")
