"""Training and landscape under all normalizations (figures 11 and 12)."""

from apps.figures import captions
from apps.figures.drawing import (
    band_entries,
    draw_band,
    draw_line,
    finish,
    new_figure,
)
from apps.figures.landscape import (
    describe_edge,
    describe_unresolved,
    edge_entries,
    label_beta,
    label_gradient,
    label_loss,
    resolved,
)
from apps.figures.performance import draw_training
from apps.figures.styles import STYLES

NORMS = ("none", "bn", "l1", "l2", "linf")


def draw(runs, settings):
    """Draws figure 11 or 12: training curve, both bands and beta for all norms.

    Five bands in one panel could not be told apart; each has a panel of its own, in
    front of the standard network's.

    Args:
        runs: A `RunSet`.
        settings: List of `Setting`, a block for each.
    """
    figure = new_figure(12, 0.8 + 7.6 * len(settings))
    blocks = figure.subfigures(len(settings), 1, squeeze=False)[:, 0]
    for block, setting in zip(blocks, settings, strict=True):
        block.suptitle(setting.title, fontsize="medium")
        _draw_block(block, runs, setting)
    return finish(
        figure,
        band_entries(STYLES[norm] for norm in NORMS) + edge_entries(settings),
        captions.describe(runs, settings, NORMS, "landscape"),
    )


def _draw_block(figure, runs, setting):
    records = {
        norm: resolved(setting.records(runs, norm, "landscape")) for norm in NORMS
    }
    lines, bands = figure.subfigures(2, 1, height_ratios=(1, 1.7))
    training, beta = lines.subplots(1, 2)
    draw_training(training, runs, setting, NORMS)
    training.set_title("(a) training")
    for norm in NORMS:
        draw_line(beta, records[norm], "beta", STYLES[norm])
    label_beta(beta, "(d) effective β-smoothness", runs, setting)
    normalized = NORMS[1:]
    losses, gradients = bands.subplots(2, len(normalized), sharex=True, sharey="row")
    for loss, gradient, norm in zip(losses, gradients, normalized, strict=True):
        for shown in ("none", norm):
            draw_band(loss, records[shown], "losses", STYLES[shown])
            draw_band(gradient, records[shown], "gradient_distances", STYLES[shown])
        label_loss(loss, f"(b) loss landscape, {STYLES[norm].label}", setting)
        label_gradient(gradient, f"(c) gradients, {STYLES[norm].label}")
        loss.set_xlabel("")
    for axes in (*losses[1:], *gradients[1:]):
        axes.set_ylabel("")


def caption(runs, settings):
    """Returns the caption of figure 11 or 12."""
    return (
        "Training with each normalization: (a) training curve; at a training step, "
        "the range of (b) the loss and (c) the l2 change of the gradient over steps "
        "in the direction of the gradient, each normalization in front of the "
        "standard network; (d) effective beta-smoothness. "
        + captions.describe_seeds(runs, settings, NORMS, "landscape")
        + describe_unresolved(runs, settings, NORMS)
        + captions.describe_ends(runs, settings, NORMS)
        + describe_edge(settings)
        + captions.describe(runs, settings, NORMS, "landscape")
    )
