"""The GPUs that the backend of Keras computes on."""

import keras


def gpus():
    """Returns the names of the GPUs, such as `"NVIDIA H100 80GB HBM3"`."""
    return {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}[
        keras.backend.backend()
    ]()


def _tensorflow():
    import tensorflow as tf

    return [
        tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
        for gpu in tf.config.list_physical_devices("GPU")
    ]


def _jax():
    import jax

    return [device.device_kind for device in jax.devices() if device.platform == "gpu"]


def _torch():
    import torch

    count = torch.cuda.device_count()
    return [torch.cuda.get_device_name(number) for number in range(count)]
