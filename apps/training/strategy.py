"""The devices that train one model: one, all of this machine, or of several."""

import contextlib
import dataclasses
import os
from collections.abc import Callable

import keras

from apps.training import processes
from keras_bnsmooth.autodiff.training_loss import check_divisible

STRATEGIES = ("none", "mirrored", "data_parallel", "multi_worker_mirrored")


@dataclasses.dataclass(frozen=True)
class Strategy:
    """How a model is trained on several devices.

    Attributes:
        name: One of `STRATEGIES`.
        replicas: Devices that take a share of every batch, in all processes.
        scope: Function that returns the context in which the model is made and
            trained.
        global_statistics: Whether normalizations that do not ask for it take their
            statistics over the whole batch, not over the share of a device.
        fuses_steps: Whether Keras can compile steps with XLA, and run several as one.
        as_input: From a function that returns an iterator of shares to what `fit`
            takes.
    """

    name: str = "none"
    replicas: int = 1
    scope: Callable = contextlib.nullcontext
    global_statistics: bool = True
    fuses_steps: bool = True
    # Of iterators Keras takes generators alone.
    as_input: Callable = lambda shares: (share for share in shares())

    def input(self, stream):
        """Returns what `model.fit` takes.

        Args:
            stream: Function without arguments that returns an iterator of batches,
                tuples of arrays, without end.
        """
        return self.as_input(lambda: map(self.share, stream()))

    def share(self, batch):
        """Returns the share of a batch, a tuple of arrays, for this process.

        Raises:
            ValueError: The devices cannot share it evenly.
        """
        samples = len(batch[0])
        check_divisible(samples, self.replicas)
        count = processes.count()
        if count == 1:
            return batch
        size = samples // count
        start = processes.index() * size
        return tuple(array[start : start + size] for array in batch)

    def describe(self, synchronized):
        """Returns what decides the numbers of a run, as a dict of JSON types.

        Args:
            synchronized: Whether normalizations ask for statistics of all replicas.
        """
        over_all = synchronized or self.global_statistics
        return {
            "strategy": self.name,
            "replicas": self.replicas,
            "processes": processes.count(),
            "statistics": "global batch" if over_all else "share of a replica",
        }


def start(name, logical_cpus=1):
    """Returns the `Strategy` of that name, over all devices there are.

    To be called before anything is computed. With `"data_parallel"` and the
    environment variables of `keras.distribution.initialize`, this process joins the
    others of the run.

    Args:
        name: `"none"`; `"mirrored"`, `tf.distribute.MirroredStrategy` over the GPUs
            of this machine; or `"data_parallel"`, `keras.distribution.DataParallel`
            on JAX over the devices of all processes.
        logical_cpus: Devices to split the CPU into, to try a strategy without GPUs.

    Raises:
        ValueError: The backend of Keras has no such strategy, or computation has
            begun already.
    """
    if name == "multi_worker_mirrored":
        raise ValueError(
            "Keras 3 does not work with MultiWorkerMirroredStrategy (keras issue "
            "20585); for several machines set KERAS_BACKEND=jax and pass "
            "--strategy=data_parallel."
        )
    backend = keras.backend.backend()
    there = [other for other, (of, _) in _STARTERS.items() if of in (None, backend)]
    if name not in _STARTERS:
        raise ValueError(
            f"strategy must be one of {', '.join(there)}; received {name!r}."
        )
    needed, make = _STARTERS[name]
    if name not in there:
        raise ValueError(
            f"--strategy={name} needs KERAS_BACKEND={needed}; this is {backend}, which "
            f"has {', '.join(there)}."
        )
    if logical_cpus > 1:
        _split_cpu(backend, logical_cpus)
    return make()


def _split_cpu(backend, count):
    try:
        if backend == "tensorflow":
            import tensorflow as tf

            tf.config.set_logical_device_configuration(
                tf.config.list_physical_devices("CPU")[0],
                [tf.config.LogicalDeviceConfiguration()] * count,
            )
        elif backend == "jax":
            import jax

            jax.config.update("jax_num_cpu_devices", count)
        else:
            raise ValueError("--logical_cpus is for TensorFlow and JAX.")
    except RuntimeError as error:
        raise ValueError(
            f"the CPU cannot be split any more, as computation has begun ({error})."
        ) from error


def _mirrored():
    import tensorflow as tf

    devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices(
        "CPU"
    )
    strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
    return Strategy(
        "mirrored",
        strategy.num_replicas_in_sync,
        strategy.scope,
        global_statistics=strategy.num_replicas_in_sync == 1,
        # Keras cannot loop over steps whose layers wait for other replicas.
        fuses_steps=False,
        as_input=_dataset,
    )


def _dataset(shares):
    """Starts at the first batch again when it is iterated again.

    Under a strategy Keras looks at a batch first, and of a generator it, and what was
    fetched ahead of it, would be lost for training.
    """
    import tensorflow as tf

    signature = tuple(
        tf.TensorSpec(array.shape, array.dtype) for array in next(shares())
    )
    return tf.data.Dataset.from_generator(shares, output_signature=signature).prefetch(
        tf.data.AUTOTUNE
    )


def _data_parallel():
    import jax

    if int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1")) > 1:
        # By default JAX ends a process whose peers have gone, with a page of log;
        # this leaves it the time to say so in a line.
        jax.config.update("jax_enable_recoverability", True)
        keras.distribution.initialize()
    # The batches come in shares already.
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    return Strategy("data_parallel", jax.device_count(), distribution.scope)


# name -> (the backend that it needs, function that starts it)
_STARTERS = {
    "none": (None, Strategy),
    "mirrored": ("tensorflow", _mirrored),
    "data_parallel": ("jax", _data_parallel),
}
