"""The loss landscape along the gradient over training (figures 4 and 9 to 12)."""

import numpy as np

from apps.figures.paper import ALL, BOTH, Shown, norm_name, paper_figure
from apps.figures.training import draw_training
from apps.settings import DLN, VGG
from keras_bnsmooth.plots import drawing, panels
from keras_bnsmooth.plots.columns import mask_unresolved
from keras_bnsmooth.plots.styles import STYLES

_EDGE = "2 / learning rate"
# Fractions of training after which figure 10 looks along the gradient.
_FRACTIONS = (0.01, 0.1, 0.5, 1.0)
_POINTS = {"marker": "o", "markersize": 3, "markevery": None, "linewidth": 1.2}
_UNRESOLVED = {
    "losses": "Losses that are not finite",
    "gradient_distances": "Changes of the gradient that are not finite, or may be "
    "rounding,",
    "beta": "Values of beta that are not finite",
}


def _describe_step_sizes(shown):
    record = shown.records(shown.settings[0])["none"][0]
    multiples = record["step_sizes"][0] / record["learning_rate"][0]
    return f"{multiples.min():.2g} to {multiples.max():.2g} learning rates"


def _describe_smaller_steps(shown):
    """Returns which step sizes beta includes beyond those of the bands, or ""."""
    record = shown.records(shown.settings[0])["none"][0]
    smallest = 1 / record["ceiling"][0] / record["learning_rate"][0]
    if smallest > 0.99 * record["step_sizes"][0, 0] / record["learning_rate"][0]:
        return ""
    return f", over steps from {smallest:.2g} learning rates on"


def _describe_unresolved(shown, quantities=tuple(_UNRESOLVED)):
    """Returns a sentence per quantity of which values are left out, or ""."""
    text = ""
    for quantity in quantities:
        shares = []
        for setting in shown.settings:
            for norm, records in shown.records(setting).items():
                values = [mask_unresolved(record)[quantity] for record in records]
                share = 1 - np.isfinite(np.concatenate(values)).mean()
                if share:
                    name = f"{setting.network.upper()} {norm_name(norm)}"
                    shares.append(f"{name} {share:.1%}")
        if shares:
            text += f"{_UNRESOLVED[quantity]} are left out: {', '.join(shares)}. "
    return text


def _describe_unresolved_changes(shown):
    return _describe_unresolved(shown, ("gradient_distances",))


def _describe_edge(shown):
    if "dln" not in [setting.network for setting in shown.settings]:
        return ""
    return (
        f"Where beta is above {_EDGE}, gradient descent is beyond the edge of "
        "stability (Cohen et al., 2021). "
    )


_RUNS = (
    Shown.describe_seeds,
    _describe_unresolved,
    Shown.describe_divergence,
    _describe_edge,
)
_LANDSCAPE = (
    "At each training step, the range of (a) the loss and (b) the l2 change of the "
    "gradient over steps of ",
    _describe_step_sizes,
    " in the direction of the gradient; (c) effective beta-smoothness, the largest "
    "change of the gradient divided by the distance moved",
    _describe_smaller_steps,
    ". Points are hollow where it is saturated: at the smallest step the gradient has "
    "changed by its own length, so beta is about 1 / smallest step size, whatever the "
    "curvature. ",
    *_RUNS,
)
_CHANGES = (
    "Predictiveness of gradients over distance",
    "l2 change of the gradient against the distance moved in its direction, the step "
    "size times the norm of the gradient, at four training steps; one line per seed. ",
    _describe_unresolved_changes,
)
_NORMS = (
    "Training with each normalization: (a) training curve; at each training step, the "
    "range of (b) the loss and (c) the l2 change of the gradient over steps in the "
    "direction of the gradient, each normalization in front of the standard network; "
    "(d) effective beta-smoothness",
    _describe_smaller_steps,
    ", with hollow points where it is saturated. ",
    *_RUNS,
)
_VGG_LANDSCAPE = ("The optimization landscape of the VGG", *_LANDSCAPE)
_DLN_LANDSCAPE = ("The optimization landscape of the deep linear network", *_LANDSCAPE)
_VGG_NORMS = ("All normalizations in the VGG", *_NORMS)
_DLN_NORMS = ("All normalizations in the deep linear network", *_NORMS)


@paper_figure(4, _VGG_LANDSCAPE, (VGG,), BOTH, ("landscape",))
@paper_figure(9, _DLN_LANDSCAPE, (DLN,), BOTH, ("landscape",))
def draw_landscapes(shown):
    """Draws loss band, gradient band and beta, one row per setting."""
    figure = drawing.new_figure(11, 0.8 + 2.8 * len(shown.settings))
    rows = figure.subfigures(len(shown.settings), 1, squeeze=False)[:, 0]
    for row, setting in zip(rows, shown.settings, strict=True):
        records = shown.records(setting)
        loss, gradient, beta = row.subplots(1, 3)
        panels.draw_loss_band(loss, records, STYLES, "(a) loss landscape", setting.loss)
        panels.draw_gradient_band(
            gradient, records, STYLES, "(b) gradient predictiveness"
        )
        panels.draw_beta(beta, records, STYLES, "(c) effective β-smoothness")
        _draw_edge(beta, shown, setting)
        row.suptitle(setting.title, fontsize="medium")
    return figure


@paper_figure(10, _CHANGES, (VGG, DLN), BOTH, ("landscape",))
def draw_gradient_changes(shown):
    """Draws the change of the gradient over distance, at four steps."""
    figure = drawing.new_figure(12, 6.4)
    parts = figure.subfigures(len(shown.settings), 1)
    for part, setting, letter in zip(parts, shown.settings, "ab", strict=True):
        part.suptitle(f"({letter}) {setting.title}", fontsize="medium")
        records = shown.records(setting)
        steps = _example_steps(records)
        row = part.subplots(1, len(steps), sharex=True, sharey=True, squeeze=False)[0]
        for axes, step in zip(row, steps, strict=True):
            for norm, of_norm in records.items():
                for record in of_norm:
                    _draw_gradient_change(axes, record, step, STYLES[norm])
            drawing.set_log_scale(axes, "xy")
            axes.set(title=f"step {step:,}", xlabel="distance along the gradient")
            axes.grid(alpha=0.3)
        row[0].set_ylabel(r"$\ell_2$ change of the gradient")
    return figure


@paper_figure(11, _VGG_NORMS, (VGG,), ALL, ("landscape",))
@paper_figure(12, _DLN_NORMS, (DLN,), ALL, ("landscape",))
def draw_all_norms(shown):
    """Draws training curve, both bands and beta for all norms.

    Five bands could not be told apart in one panel, so each normalization has its own
    panel, in front of the standard network.
    """
    figure = drawing.new_figure(12, 0.8 + 7.6 * len(shown.settings))
    blocks = figure.subfigures(len(shown.settings), 1, squeeze=False)[:, 0]
    for block, setting in zip(blocks, shown.settings, strict=True):
        block.suptitle(setting.title, fontsize="medium")
        lines, bands = block.subfigures(2, 1, height_ratios=(1, 1.7))
        training, beta = lines.subplots(1, 2)
        draw_training(training, shown, setting)
        training.set_title("(a) training")
        records = shown.records(setting)
        panels.draw_beta(beta, records, STYLES, "(d) effective β-smoothness")
        _draw_edge(beta, shown, setting)
        _draw_pairs(bands, records, setting)
    return figure


def _draw_pairs(figure, records, setting):
    norms = [norm for norm in records if norm != "none"]
    grid = figure.subplots(2, len(norms), sharex=True, sharey="row")
    for loss, gradient, norm in zip(*grid, norms, strict=True):
        pair = {shown: records[shown] for shown in ("none", norm)}
        label = STYLES[norm].label
        panels.draw_loss_band(
            loss, pair, STYLES, f"(b) loss landscape, {label}", setting.loss
        )
        panels.draw_gradient_band(gradient, pair, STYLES, f"(c) gradients, {label}")
        loss.set_xlabel("")
    for axes in grid[:, 1:].flat:
        axes.set_ylabel("")


def _draw_edge(axes, shown, setting):
    """Draws the edge of stability, which full-batch training has."""
    if setting.network == "dln":
        learning_rate = shown.of(setting, "none")[0].learning_rate
        axes.axhline(2 / learning_rate, color="#666666", linewidth=0.8, label=_EDGE)


def _draw_gradient_change(axes, record, step, style):
    # There is no such row if the run diverged before.
    for row in np.flatnonzero(record["step"] == step):
        axes.plot(
            record["step_sizes"][row] * record["gradient_norm"][row],
            mask_unresolved(record)["gradient_distances"][row],
            label=style.label,
            **style.line | _POINTS,
        )


def _example_steps(records):
    """Returns recorded steps near `_FRACTIONS` of the run that went furthest."""
    steps = max(
        (record["step"] for of_norm in records.values() for record in of_norm),
        key=lambda steps: steps[-1],
    )
    nearest = [np.abs(steps - part * steps[-1]).argmin() for part in _FRACTIONS]
    return list(dict.fromkeys(steps[nearest].tolist()))
