"""Training and test performance of the networks (figures 1, 2 and 13)."""

import dataclasses

from matplotlib.ticker import PercentFormatter

from apps.figures.activations import RIDGES, draw_examples
from apps.figures.paper import ALL, BOTH, NOISY, paper_figure
from apps.settings import DLN, VGG, VGG_FAST
from keras_bnsmooth.plots import drawing
from keras_bnsmooth.plots.columns import drop_missing
from keras_bnsmooth.plots.styles import MARKERS, STYLES

_RECORDS = ("metrics", "activations")
_TRAINING = "training accuracy (%)"


def _describe_curves(shown):
    """Returns what a point and a line of the curves mean, and which runs diverged."""
    every = shown.of(VGG, "none")[0].flags.get("metrics_every")
    return (
        (f"A training accuracy is the mean over {every} steps. " if every else "")
        + shown.describe_seeds()
        + shown.describe_divergence()
    )


def _describe_marks(shown):
    rates = ", ".join(
        f"{setting.flags['learning_rate']:g}" for setting in shown.settings[1:]
    )
    return f"Marked lines: learning rate {rates}. " if rates else ""


def _describe_noise(shown):
    noise = ", and of the standard network with that noise"
    return noise if "noise" in shown.norms else ""


_BASIC = (
    "Performance with and without batch normalization",
    "(a) Training and (b) test accuracy of the VGG with and without batch "
    "normalization; (c) distributions of activations in two layers. ",
    _describe_marks,
    _describe_curves,
    RIDGES,
)
_NOISE = (
    "Distributional stability and performance",
    "(a) Training accuracy of the VGG without batch normalization, with it, and with "
    "noise after it",
    _describe_noise,
    "; (b) distributions of activations in two layers. ",
    _describe_curves,
    RIDGES,
)
_NORMS = (
    "Training with all normalizations",
    "Training with each normalization: (a) accuracy of the VGG, (b) loss of the DLN. ",
    _describe_curves,
)


@paper_figure(1, _BASIC, (VGG,), BOTH, _RECORDS, optional_settings=(VGG_FAST,))
def draw_with_and_without(shown):
    """Draws (a) training accuracy, (b) test accuracy, (c) distributions."""
    figure = drawing.new_figure(13, 5.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1.3, 1))
    training, test = left.subplots(1, 2, sharex=True)
    for setting, marker in zip(shown.settings, ("", *MARKERS), strict=False):
        for norm, records in shown.records(setting).items():
            label = STYLES[norm].label
            if marker:
                label += f", learning rate {setting.flags['learning_rate']:g}"
            style = dataclasses.replace(STYLES[norm], label=label, marker=marker)
            draw_accuracy(training, records, "accuracy", style)
            draw_accuracy(test, records, "test_accuracy", style)
    drawing.format_over_steps(training, "(a) training", _TRAINING)
    drawing.format_over_steps(test, "(b) test", "test accuracy (%)")
    draw_examples(right, shown.records(VGG, "activations"), count=2)
    right.suptitle("(c) distributions of activations", fontsize="medium")
    return figure


@paper_figure(2, _NOISE, (VGG,), NOISY, _RECORDS, optional_norms=("noise",))
def draw_with_noise(shown):
    """Draws training accuracy with and without noise, and distributions.

    The standard network with the same noise, which according to the paper does not
    train, is included if there are runs of it.
    """
    figure = drawing.new_figure(14, 5.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.7))
    training = left.subplots()
    draw_training(training, shown, VGG)
    training.set_title("(a) training")
    draw_examples(right, shown.records(VGG, "activations", NOISY), count=2)
    right.suptitle("(b) distributions of activations", fontsize="medium")
    return figure


@paper_figure(13, _NORMS, (VGG, DLN), ALL)
def draw_norms(shown):
    """Draws the training of (a) the VGG and (b) the DLN with each norm."""
    figure = drawing.new_figure(10, 4.2)
    panels = figure.subplots(1, len(shown.settings))
    for axes, setting, letter in zip(panels, shown.settings, "ab", strict=True):
        draw_training(axes, shown, setting)
        axes.set_title(f"({letter}) {setting.title}")
    return figure


def draw_training(axes, shown, setting):
    """Draws the training performance: accuracy of the VGG, loss of the DLN."""
    for norm, records in shown.records(setting, "metrics").items():
        if setting.network == "vgg":
            draw_accuracy(axes, records, "accuracy", STYLES[norm])
        else:
            drawing.draw_line(axes, records, "loss", STYLES[norm])
    if setting.network == "vgg":
        drawing.format_over_steps(axes, ylabel=_TRAINING)
    else:
        drawing.format_over_steps(axes, ylabel=setting.loss, log=True)


def draw_accuracy(axes, records, quantity, style):
    """Draws an accuracy, in per cent, at the steps at which it was measured."""
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    measured = [drop_missing(record, quantity) for record in records]
    if any(len(record["step"]) for record in measured):
        drawing.draw_line(axes, measured, quantity, style)
