"""How well the networks train (figures 1, 2 and 13)."""

import dataclasses

from matplotlib.ticker import PercentFormatter

from apps.figures import captions
from apps.figures.distributions import RIDGES, draw_layers
from apps.figures.drawing import (
    draw_line,
    finish,
    line_entries,
    new_figure,
    over_steps,
)
from apps.figures.seeds import measured
from apps.figures.styles import STYLES
from apps.settings import DLN, VGG

BASIC = ("none", "bn")
NOISY = ("none", "bn", "noisy_bn")
LP = ("none", "bn", "l1", "l2", "linf")
_MARKERS = "os^Dv"


def draw_basic(runs):
    """Draws figure 1: (a) training, (b) test accuracy, (c) distributions.

    Args:
        runs: A `RunSet`.
    """
    figure = new_figure(13, 5.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1.3, 1))
    training, test = left.subplots(1, 2, sharex=True)
    entries = []
    for setting, norm, style in _learning_rates(runs):
        records = setting.records(runs, norm, "metrics")
        draw_accuracy(training, records, "accuracy", style)
        draw_accuracy(test, records, "test_accuracy", style)
        entries += line_entries([style])
    over_steps(training, "(a) training", "training accuracy (%)")
    over_steps(test, "(b) test", "test accuracy (%)")
    draw_layers(right, runs, VGG, BASIC, count=2)
    right.suptitle("(c) distributions of activations", fontsize="medium")
    return finish(figure, entries, captions.describe(runs, [VGG], BASIC))


def draw_noisy(runs):
    """Draws figure 2: training accuracy with and without noise, and distributions.

    Where there are runs of it, the standard network with the same noise is shown
    too, of which the paper says that it does not train.
    """
    figure = new_figure(14, 5.6)
    left, right = figure.subfigures(1, 2, width_ratios=(1, 1.7))
    training = left.subplots()
    norms = _with_noise(runs)
    for norm in norms:
        records = VGG.records(runs, norm, "metrics")
        draw_accuracy(training, records, "accuracy", STYLES[norm])
    over_steps(training, "(a) training", "training accuracy (%)")
    draw_layers(right, runs, VGG, NOISY, count=2)
    right.suptitle("(b) distributions of activations", fontsize="medium")
    return finish(
        figure,
        line_entries(STYLES[norm] for norm in norms),
        captions.describe(runs, [VGG], norms),
    )


def draw_lp(runs):
    """Draws figure 13: training of (a) the VGG and (b) the DLN with each norm."""
    figure = new_figure(13, 4.4)
    vgg, *dln = figure.subplots(1, 1 + len(DLN))
    for norm in LP:
        records = VGG.records(runs, norm, "metrics")
        draw_accuracy(vgg, records, "accuracy", STYLES[norm])
    over_steps(vgg, "(a) VGG", "training accuracy (%)")
    for axes, setting in zip(dln, DLN, strict=True):
        draw_training(axes, runs, setting, LP)
        axes.set_title(f"(b) {setting.title.replace(', ', chr(10), 1)}", fontsize=10)
    return finish(
        figure,
        line_entries(STYLES[norm] for norm in LP),
        captions.describe(runs, [VGG, *DLN], LP),
    )


def caption_basic(runs):
    """Returns the caption of figure 1."""
    others = _other_learning_rates(runs)
    marked = "; ".join(
        f"learning rate {setting.learning_rate:g}, "
        + captions.describe_numbers(runs, setting, BASIC)
        for setting in others
    )
    return (
        "(a) Training and (b) test accuracy of the VGG with and without batch "
        "normalization; (c) distributions of activations of two layers. "
        + (f"Marked lines: {marked}. " if marked else "")
        + describe_accuracy(runs, BASIC, [VGG, *others])
        + RIDGES
        + captions.describe(runs, [VGG], BASIC)
    )


def caption_noisy(runs):
    """Returns the caption of figure 2."""
    norms = _with_noise(runs)
    return (
        "(a) Training accuracy of the VGG without batch normalization, with it, and "
        "with noise after it"
        + (", and of the standard network with that noise" if "noise" in norms else "")
        + "; (b) distributions of activations of two layers. "
        + describe_accuracy(runs, norms)
        + RIDGES
        + captions.describe(runs, [VGG], norms)
    )


def caption_lp(runs):
    """Returns the caption of figure 13."""
    return (
        "Training with each normalization: (a) accuracy of the VGG, (b) loss of the "
        "DLN under either reduction of the squared error, of which the first is "
        "smaller by the number of outputs. "
        + describe_accuracy(runs, LP, [VGG, *DLN])
        + captions.describe(runs, [VGG, *DLN], LP)
    )


def draw_accuracy(axes, records, quantity, style):
    """Draws an accuracy, in per cent, at the steps at which it was measured."""
    axes.yaxis.set_major_formatter(PercentFormatter(1, symbol=""))
    shown = [measured(record, quantity) for record in records]
    if any(len(record["step"]) for record in shown):
        draw_line(axes, shown, quantity, style)


def draw_training(axes, runs, setting, norms):
    """Draws the training performance: accuracy of the VGG, loss of the DLN."""
    for norm in norms:
        records = setting.records(runs, norm, "metrics")
        if setting.network == "vgg":
            draw_accuracy(axes, records, "accuracy", STYLES[norm])
        else:
            draw_line(axes, records, "loss", STYLES[norm])
    if setting.network == "vgg":
        over_steps(axes, ylabel="training accuracy (%)")
    else:
        over_steps(axes, ylabel=setting.loss, log=True)


def describe_accuracy(runs, norms, settings=(VGG,)):
    """Returns what a point of the curves is, what lines mean, and which runs ended."""
    every = settings[0].runs(runs, norms[0])[0].flags.get("metrics_every")
    return (
        (f"A training accuracy is the mean over {every} steps. " if every else "")
        + captions.describe_seeds(runs, settings, norms)
        + captions.describe_ends(runs, settings, norms)
    )


def _with_noise(runs):
    return (*NOISY, "noise") if VGG.runs(runs, "noise") else NOISY


def _learning_rates(runs):
    """Yields (setting, norm, style) of figure 1, other learning rates with markers."""
    for norm in BASIC:
        yield VGG, norm, STYLES[norm]
    for setting, marker in zip(_other_learning_rates(runs), _MARKERS, strict=False):
        for norm in BASIC:
            if setting.runs(runs, norm):
                label = f"{STYLES[norm].label}, learning rate {setting.learning_rate:g}"
                yield (
                    setting,
                    norm,
                    dataclasses.replace(STYLES[norm], label=label, marker=marker),
                )


def _other_learning_rates(runs):
    """Settings for the learning rates that fewer runs of the VGG have."""
    rates = {
        run.learning_rate
        for run in runs.runs
        if run.network == VGG.network and run.norm in BASIC
    }
    usual = VGG.runs(runs, BASIC[0])[0].learning_rate
    return [
        dataclasses.replace(VGG, learning_rate=rate) for rate in sorted(rates - {usual})
    ]
