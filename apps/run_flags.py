"""Flags that both training programs have."""

from absl import flags

from apps import probe_flags, program
from apps.training import compilation, environment, strategy
from apps.training.run_directory import RunDirectory
from keras_bnsmooth.models import NORMS

# Flags that change where a run reads and writes and how often it saves, not its
# numbers: they may differ when a run goes on.
_FREE = ("workdir", "data_dir", "checkpoint_every")


def define(steps, learning_rate, metrics_every):
    """Defines the common flags with the defaults of a program."""
    flags.DEFINE_enum("norm", "bn", NORMS, "Normalization after each layer.")
    flags.DEFINE_integer("steps", steps, "Training steps.", lower_bound=1)
    flags.DEFINE_float(
        "learning_rate", learning_rate, "Of SGD without momentum.", lower_bound=0.0
    )
    flags.DEFINE_integer(
        "seed", 0, "Decides weights, batches and noise.", lower_bound=0
    )
    flags.DEFINE_string(
        "workdir", None, "Run directory; by default named after the flags, in runs/."
    )
    flags.DEFINE_integer(
        "metrics_every", metrics_every, "Steps between metrics.", lower_bound=1
    )
    flags.DEFINE_integer(
        "checkpoint_every", 500, "Steps between checkpoints.", lower_bound=1
    )
    flags.DEFINE_enum(
        "xla",
        "auto",
        ["auto", "on", "off"],
        "Compile the training step: by XLA on TensorFlow, jax.jit on JAX, "
        "torch.compile on torch. auto: on TensorFlow on for a GPU, and on a CPU where "
        "it is faster (the DLN with normalizations, not convolutions); on JAX always; "
        "on torch never.",
    )
    flags.DEFINE_enum(
        "strategy",
        "none",
        strategy.STRATEGIES,
        "Devices to train on: one; mirrored, all GPUs of this machine (TensorFlow); "
        "data_parallel, all devices of all processes (JAX).",
    )
    flags.DEFINE_integer(
        "logical_cpus",
        1,
        "Devices to split the CPU into, to try a strategy without GPUs.",
        lower_bound=1,
    )
    flags.DEFINE_bool(
        "synchronized",
        False,
        "Normalize by the statistics of the global batch, not of each device's share "
        "(mirrored; with data_parallel it is so always).",
    )
    probe_flags.define()


def start_strategy():
    """Returns the `Strategy` that the flags ask for; nothing may be computed before.

    Raises:
        ValueError: The flags do not go together, or not with the backend.
    """
    values = flags.FLAGS
    if values.strategy == "mirrored" and values.xla == "on":
        raise ValueError(
            "--xla=on does not go with --strategy=mirrored, for which Keras compiles "
            "without XLA; leave out one of them."
        )
    return strategy.start(values.strategy, values.logical_cpus)


def xla(devices, on_cpu=False):
    """Returns `jit_compile` for `Model.compile`.

    Args:
        devices: The `Strategy` of the run.
        on_cpu: See `use_xla`.
    """
    return devices.fuses_steps and compilation.use_xla(flags.FLAGS.xla, on_cpu)


def steps_per_execution(devices, *intervals):
    """Returns the most steps that one execution of the program may take.

    Args:
        devices: The `Strategy` of the run.
        *intervals: Numbers of steps after which it must come back to Python.
    """
    if not devices.fuses_steps:
        return 1
    return compilation.steps_per_execution(probe_flags.common_interval(*intervals))


def open_run(module_name, default_workdir, devices, **more):
    """Returns the `RunDirectory` of this command.

    Args:
        module_name: Name of the program's module, whose flags make the run.
        default_workdir: The directory where `--workdir` is not given.
        devices: The `Strategy` of the run.
        **more: Further entries of the run's configuration.
    """
    values = flags.FLAGS
    ours = [
        flag
        for module in (module_name, __name__, probe_flags.__name__)
        for flag in values.get_flags_for_module(module)
    ]
    config = {
        "command": program.command_line(),
        "flags": {name: values[name].value for name in sorted(f.name for f in ours)},
        **environment.describe(),
        "distribution": devices.describe(values.synchronized),
        **more,
    }
    return RunDirectory(values.workdir or default_workdir, config, _FREE)
