"""Devices that train one model: one, all of this machine, or those of several."""

import contextlib
import dataclasses
import os
from collections.abc import Callable

import keras

from apps.errors import UserError, user_errors
from apps.training import processes
from keras_bnsmooth.autodiff.training_loss import check_divisible

STRATEGIES = ("none", "mirrored", "data_parallel", "multi_worker_mirrored")


@dataclasses.dataclass(frozen=True)
class Strategy:
    """How a model is trained on several devices.

    Attributes:
        name: One of `STRATEGIES`.
        replicas: Number of devices, in all processes, that each take a shard of every
            batch.
        scope: Function that returns the context in which to build and train the model.
        global_statistics: Whether normalizations use statistics of the whole batch,
            rather than of a device's shard, even if not synchronized.
        fuses_steps: Whether Keras can compile steps with XLA and run several as one.
        as_input: Function that maps a function returning an iterator of shards to what
            `fit` accepts.
    """

    name: str = "none"
    replicas: int = 1
    scope: Callable = contextlib.nullcontext
    global_statistics: bool = True
    fuses_steps: bool = True
    # The only kind of iterator that Keras accepts is a generator.
    as_input: Callable = lambda shards: (shard for shard in shards())

    def input(self, stream):
        """Returns what `model.fit` accepts.

        Args:
            stream: Function without arguments that returns an endless iterator of
                batches, tuples of arrays.
        """
        return self.as_input(lambda: map(self.shard, stream()))

    def shard(self, batch):
        """Returns this process's shard of a batch, a tuple of arrays.

        Raises:
            UserError: The devices cannot share the batch evenly.
        """
        samples = len(batch[0])
        with user_errors():
            check_divisible(samples, self.replicas)
        size = samples // processes.count()
        start = processes.index() * size
        return tuple(array[start : start + size] for array in batch)

    def describe(self, synchronized):
        """Returns what affects the numbers of a run, as a dict of JSON types.

        Args:
            synchronized: Whether normalizations synchronize statistics across replicas.
        """
        over_all = synchronized or self.global_statistics
        several = self.replicas > 1 and not self.global_statistics
        return {
            "strategy": self.name,
            "replicas": self.replicas,
            "processes": processes.count(),
            "statistics": "global batch" if over_all else "share of a replica",
            # Replicas draw noise per channel together, and per element apart.
            "noise": "own draws of each replica" if several else "global batch",
        }


def start(name, logical_cpus=1):
    """Returns the `Strategy` of that name, over all available devices.

    Call it before anything is computed. With `"data_parallel"` and the environment
    variables of `keras.distribution.initialize`, this process joins the others of the
    run.

    Args:
        name: `"none"`; `"mirrored"`, `tf.distribute.MirroredStrategy` over the GPUs of
            this machine; or `"data_parallel"`, `keras.distribution.DataParallel` on
            JAX over the devices of all processes.
        logical_cpus: Number of devices to split the CPU into, to try a strategy
            without GPUs.

    Raises:
        UserError: The backend does not support the strategy, or computation has
            already begun.
    """
    if name == "multi_worker_mirrored":
        raise UserError(
            "Keras 3 does not work with MultiWorkerMirroredStrategy (keras issue "
            "20585); for several machines set KERAS_BACKEND=jax and pass "
            "--strategy=data_parallel."
        )
    backend = keras.backend.backend()
    supported = [other for other, (of, _) in _STARTERS.items() if of in (None, backend)]
    if name not in _STARTERS:
        raise UserError(
            f"strategy must be one of {', '.join(supported)}; received {name!r}."
        )
    needed, start_strategy = _STARTERS[name]
    if name not in supported:
        raise UserError(
            f"--strategy={name} needs KERAS_BACKEND={needed}; this is {backend}, which "
            f"supports {', '.join(supported)}."
        )
    if logical_cpus > 1:
        _split_cpu(backend, logical_cpus)
    return start_strategy()


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
            raise UserError("--logical_cpus needs the TensorFlow or the JAX backend.")
    except RuntimeError as error:
        raise UserError(
            f"the CPU cannot be split because computation has already begun ({error})."
        ) from error


def _mirrored():
    import tensorflow as tf

    list_devices = tf.config.list_logical_devices
    devices = list_devices("GPU") or list_devices("CPU")
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


def _dataset(shards):
    """Returns a dataset that restarts at the first batch when iterated again.

    Under a strategy Keras peeks at a batch first. With a generator, that batch and
    those prefetched after it would be lost for training.
    """
    import tensorflow as tf

    signature = tuple(
        tf.TensorSpec(array.shape, array.dtype) for array in next(shards())
    )
    return tf.data.Dataset.from_generator(shards, output_signature=signature).prefetch(
        tf.data.AUTOTUNE
    )


def _data_parallel():
    import jax

    if int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1")) > 1:
        # By default JAX aborts a process whose peers are gone, with a page of log.
        # This gives the process time to report it in one line.
        jax.config.update("jax_enable_recoverability", True)
        keras.distribution.initialize()
    # The batches are sharded already.
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    return Strategy("data_parallel", jax.device_count(), distribution.scope)


# name -> (required backend, function that starts the strategy)
_STARTERS = {
    "none": (None, Strategy),
    "mirrored": ("tensorflow", _mirrored),
    "data_parallel": ("jax", _data_parallel),
}
