"""Flags that both training programs have."""

from absl import flags

from apps import probe_flags
from keras_bnsmooth.models import NORMS
from keras_bnsmooth.training import environment
from keras_bnsmooth.training.run_directory import RunDirectory

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
    probe_flags.define()


def open_run(module_name, default_workdir, **more):
    """Returns the `RunDirectory` of this command.

    Args:
        module_name: Name of the program's module, whose flags make the run.
        default_workdir: The directory where `--workdir` is not given.
        **more: Further entries of the run's configuration.
    """
    values = flags.FLAGS
    ours = [
        flag
        for module in (module_name, __name__, probe_flags.__name__)
        for flag in values.get_flags_for_module(module)
    ]
    config = {
        "command": environment.command_line(),
        "flags": {name: values[name].value for name in sorted(f.name for f in ours)},
        **environment.describe(),
        **more,
    }
    return RunDirectory(values.workdir or default_workdir, config, _FREE)
