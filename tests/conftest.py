import keras
import pytest


def pytest_collection_modifyitems(items):
    """Skips what is truly TensorFlow's on other backends of Keras."""
    if keras.backend.backend() != "tensorflow":
        skip = pytest.mark.skip(reason="needs the TensorFlow backend")
        for item in items:
            if item.get_closest_marker("tensorflow"):
                item.add_marker(skip)
