"""Flags of the training programs and what they configure."""

import math
import shlex

from absl import flags

from apps import program
from apps.errors import UserError, user_errors
from apps.training import compilation, environment, strategy
from apps.training.run_directory import RunDirectory
from keras_bnsmooth.callbacks import (
    ActivationProbe,
    ICSProbe,
    LandscapeProbe,
    LayerScaleProbe,
    SharpnessProbe,
)
from keras_bnsmooth.models import NORMS
from keras_bnsmooth.models.norms import check_norm

# Flags that do not affect the numbers of a run, only where it reads and writes and how
# often it saves. They may differ when a run is resumed.
_FREE = ("workdir", "data_dir", "checkpoint_every")

_PROBES = {
    "probe_every": "the loss landscape along the gradient: loss, gradient and beta",
    "random_probe_every": "the loss landscape along a random direction",
    "filters_probe_every": "the loss landscape along a filter-normalized random "
    "direction",
    "ics_every": "internal covariate shift, layer by layer",
    "ics_joined_every": "internal covariate shift with gamma and beta as weights of "
    "the layer before the normalization",
    "sharpness_every": "curvature: the extreme eigenvalues of the Hessian, and the "
    "critical learning rate",
    "activations_every": "the activations of one unit per layer",
    "layer_scales_every": "norms of weights, gradient and update, layer by layer (one "
    "step per execution, which slows the DLN down)",
}


def define(steps, learning_rate, metrics_every):
    """Defines the common flags, with a program's defaults."""
    flags.DEFINE_enum("norm", "bn", NORMS, "Normalization after each layer.")
    flags.DEFINE_bool(
        "norm_after_centering",
        False,
        "For the norms l1, l2 and linf: take the norm after the mean is subtracted.",
    )
    flags.DEFINE_integer("steps", steps, "Training steps.", lower_bound=1)
    flags.DEFINE_float(
        "learning_rate",
        learning_rate,
        "Learning rate of SGD without momentum.",
        lower_bound=0.0,
    )
    flags.DEFINE_integer(
        "seed",
        0,
        "Seed of weights, batches and noise.",
        lower_bound=0,
        upper_bound=2**32 - 1,
    )
    flags.DEFINE_string(
        "workdir", None, "Run directory; by default runs/NAME, named after the flags."
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
        "Compile the training step: with XLA on TensorFlow, jax.jit on JAX, "
        "torch.compile on torch. auto: on TensorFlow, on for a GPU, and on a CPU if it "
        "is faster (the DLN with normalizations, not convolutions); always on for JAX; "
        "never for torch.",
    )
    flags.DEFINE_enum(
        "strategy",
        "none",
        strategy.STRATEGIES,
        "Devices to train on: none, a single one; mirrored, all GPUs of this machine "
        "(TensorFlow); data_parallel, all devices of all processes (JAX).",
    )
    flags.DEFINE_integer(
        "logical_cpus",
        1,
        "Devices to split the CPU into, to try a strategy without GPUs.",
        lower_bound=1,
        upper_bound=1024,
    )
    flags.DEFINE_bool(
        "synchronized",
        False,
        "Normalize by the statistics of the global batch instead of each device's "
        "shard (mirrored; data_parallel always does).",
    )
    for name, what in _PROBES.items():
        flags.DEFINE_integer(
            name, 0, f"Steps between measurements of {what}; 0: never.", lower_bound=0
        )


def start_strategy():
    """Returns the `Strategy` that the flags select; call it before any computation.

    Raises:
        UserError: The flags contradict each other or the backend.
    """
    values = flags.FLAGS
    if values.strategy == "mirrored" and values.xla == "on":
        raise UserError(
            "--xla=on cannot be combined with --strategy=mirrored, for which Keras "
            "compiles without XLA; remove one of them."
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
    """Returns the largest possible number of steps per execution.

    Args:
        devices: The `Strategy` of the run.
        *intervals: Numbers of steps after which control must return to Python, in
            addition to the intervals of the probes.
    """
    # The probe of layer scales looks at single steps.
    if not devices.fuses_steps or flags.FLAGS.layer_scales_every:
        return 1
    steps = math.gcd(*intervals, *(flags.FLAGS[name].value for name in _PROBES))
    return compilation.steps_per_execution(steps)


def probe_callbacks(batch_of_step, workdir, successive=True, **landscape_arguments):
    """Returns the probe callbacks that the flags select.

    Args:
        batch_of_step: Function that maps a step to its batch; probes measure on the
            very batch of training.
        workdir: The run directory.
        successive: Whether to measure activations at the following step as well, for
            the change of their moments between two steps.
        **landscape_arguments: Further arguments of `LandscapeProbe`.

    Raises:
        UserError: A probe needs a positive learning rate.
    """
    probes = {
        "probe_every": (LandscapeProbe, landscape_arguments),
        "random_probe_every": (
            LandscapeProbe,
            {
                "direction": "random",
                "name": "landscape_random",
                **landscape_arguments,
            },
        ),
        "filters_probe_every": (
            LandscapeProbe,
            {
                "direction": "filter_normalized_random",
                "name": "landscape_filters",
                **landscape_arguments,
            },
        ),
        "ics_every": (ICSProbe, {}),
        "ics_joined_every": (
            ICSProbe,
            {"join_normalizations": True, "name": "ics_joined"},
        ),
        "sharpness_every": (SharpnessProbe, {}),
        "activations_every": (ActivationProbe, {"successive": successive}),
        "layer_scales_every": (LayerScaleProbe, {}),
    }
    rate = flags.FLAGS.learning_rate
    callbacks = []
    for name, (probe, arguments) in probes.items():
        every = flags.FLAGS[name].value
        if not every:
            continue
        if probe in (LandscapeProbe, ICSProbe) and not 0 < rate < math.inf:
            raise UserError(
                f"--{name} measures along steps of the learning rate, which must be "
                f"positive and finite; received --learning_rate={rate}."
            )
        # SGD's update tells its gradient, so layer scales need no data.
        data = batch_of_step if probe.needs_data else None
        # Else they would be among the metrics of the run.
        arguments = {"log_dir": workdir, "logs": False, **arguments}
        callbacks.append(probe(data, every=every, **arguments))
    return callbacks


def describe_norm():
    """Returns the name of the normalization that the flags select, for directories."""
    values = flags.FLAGS
    return values.norm + ("_after_centering" if values.norm_after_centering else "")


def open_run(module_name, default_workdir, devices, **more):
    """Returns the `RunDirectory` of this command.

    Args:
        module_name: Name of the program's module, whose flags determine the run.
        default_workdir: The directory if `--workdir` is not given.
        devices: The `Strategy` of the run.
        **more: Additional entries of the run's configuration.

    Raises:
        UserError: The flags contradict each other, or as for `RunDirectory`.
    """
    values = flags.FLAGS
    with user_errors():
        check_norm(values.norm, values.norm_after_centering)
    names = sorted(
        flag.name
        for module in (module_name, __name__)
        for flag in values.get_flags_for_module(module)
    )
    config = {
        "command": program.command_line(),
        "flags": {name: values[name].value for name in names},
        **environment.describe(),
        "distribution": devices.describe(values.synchronized),
        **more,
    }
    return RunDirectory(values.workdir or default_workdir, config, _FREE)


def split_run_flags(run_flags):
    """Returns `--run_flags` as a list.

    Raises:
        UserError: A quotation is not closed.
    """
    try:
        return shlex.split(run_flags)
    except ValueError as error:
        raise UserError(f'--run_flags="{run_flags}": {error}.') from error


def check_run_flags(folder, run_flags):
    """Checks that the runs in a folder were made with the same `--run_flags`.

    Args:
        folder: Folder of run directories; `run_flags.txt` in it keeps the flags.
        run_flags: The flags as one string.

    Raises:
        UserError: The runs were made with other flags.
    """
    path = folder / "run_flags.txt"
    asked = split_run_flags(run_flags)
    try:
        there = path.read_bytes().decode().strip() if path.exists() else ""
        same = shlex.split(there) == asked
    except ValueError as error:
        raise UserError(f"{path} is damaged ({type(error).__name__}).") from error
    if same:
        return
    if any(folder.glob("*/config.json")):
        raise UserError(
            f'the runs in {folder} were made with --run_flags="{there}" (asked: '
            f'"{run_flags}"); pass the same flags, or another --output.'
        )
    path.write_text(run_flags + "\n")
