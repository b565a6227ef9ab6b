"""Panels for each kind of probe record, for one run or several seeds per label.

All functions take `records`, a dict from label to the list of its records, one per
seed, and `styles`, a dict from label to `Style`.
"""

import numpy as np

from keras_bnsmooth.plots.columns import (
    align_seeds,
    mask_unresolved,
    select_layer,
    summarize,
    with_ceiling,
)
from keras_bnsmooth.plots.drawing import (
    draw_band,
    draw_line,
    format_over_steps,
    set_log_scale,
)
from keras_bnsmooth.plots.ridges import draw_ridges


def draw_loss_band(axes, records, styles, title="loss landscape", ylabel="loss"):
    """Draws the range of the loss along the gradient, min to max over step sizes."""
    for label, of_label in records.items():
        draw_band(axes, of_label, "losses", styles[label])
    # A loss that is not positive everywhere would be cut off.
    format_over_steps(axes, title, ylabel, log=axes.dataLim.y0 > 0)


def draw_gradient_band(axes, records, styles, title="gradient predictiveness"):
    """Draws the range of the gradient's resolved changes."""
    for label, of_label in records.items():
        resolved = [mask_unresolved(record) for record in of_label]
        draw_band(axes, resolved, "gradient_distances", styles[label])
    format_over_steps(axes, title, r"$\ell_2$ change of the gradient", log=True)


def draw_beta(axes, records, styles, title="effective β-smoothness"):
    """Draws the effective beta-smoothness, with hollow points where it is saturated.

    There, in any of the seeds, the gradient has changed by its own length at the
    smallest step size s. A dotted line shows the `ceiling` that beta then is.
    """
    for label, of_label in records.items():
        draw_line(axes, of_label, "beta", styles[label])
    ceilings = {}
    for label, of_label in records.items():
        shown = [
            record if "ceiling" in record else with_ceiling(record)
            for record in of_label
        ]
        steps, beta = align_seeds(shown, "beta")
        saturated = np.any(align_seeds(shown, "saturated")[1] == 1, axis=0)
        hollow = {"facecolors": "white", "edgecolors": styles[label].color}
        height = summarize(beta)[0][saturated]
        axes.scatter(steps[saturated], height, s=9, linewidths=0.8, zorder=3, **hollow)
        for record in shown:
            if np.any(record["saturated"]):
                key = record["step"].tobytes(), record["ceiling"].tobytes()
                ceilings[key] = record
    for record in ceilings.values():
        line = {"color": "#888888", "linestyle": ":", "linewidth": 1.2}
        length = record["gradient_norm"]
        in_gradients = np.array_equal(record.get("direction_norm", length), length)
        label = "1 / smallest step size" if in_gradients else "gradient turned around"
        axes.plot(record["step"], record["ceiling"], label=label, **line)
    format_over_steps(axes, title, "β", log=True)


def draw_sharpness(axes, records, styles):
    """Draws the largest eigenvalue of the Hessian, and 2 / learning rate."""
    for label, of_label in records.items():
        draw_line(axes, of_label, "sharpness", styles[label])
    edge = "2 / learning rate", lambda record: 2 / record["learning_rate"]
    _draw_reference(axes, records, *edge)
    format_over_steps(axes, "sharpness", "largest eigenvalue of $H$", log=True)


def draw_critical_learning_rate(axes, records, styles):
    """Draws the critical learning rate, and the learning rate."""
    for label, of_label in records.items():
        draw_line(axes, of_label, "critical_learning_rate", styles[label])
    rate = "learning rate", lambda record: record["learning_rate"]
    _draw_reference(axes, records, *rate)
    format_over_steps(axes, "critical learning rate", "learning rate", log=True)


def draw_gradient_curvature(axes, records, styles):
    """Draws the curvature along the gradient, which may be negative."""
    for label, of_label in records.items():
        draw_line(axes, of_label, "gradient_curvature", styles[label])
    format_over_steps(axes, "curvature along the gradient", "$u^T H u$")
    values = [record["gradient_curvature"] for of in records.values() for record in of]
    sizes = np.abs(np.concatenate(values))
    if np.any(sizes > 0):
        # Linear below the typical size, logarithmic beyond.
        axes.set_yscale("symlog", linthresh=np.median(sizes[sizes > 0]))


def _draw_reference(axes, records, name, function):
    """Draws a function of a record over steps as a dotted line, once for each."""
    drawn = set()
    for record in (record for of_label in records.values() for record in of_label):
        with np.errstate(divide="ignore"):
            values = function(record)
        steps, finite = record["step"], np.isfinite(values)
        if (key := (steps.tobytes(), values.tobytes())) not in drawn:
            drawn.add(key)
            line = {"color": "#888888", "linestyle": ":", "linewidth": 1.2}
            axes.plot(steps[finite], values[finite], label=name, **line)


def draw_gradient_noise(figure, records, styles, layers):
    """Draws noise scale, norm and cosine of the gradient, of all weights and by layer.

    Args:
        figure: Figure or subfigure.
        records: See above.
        styles: See above.
        layers: As in `draw_covariate_shift`.
    """
    panels = figure.subplots(3, 1 + len(layers), sharex=True, squeeze=False)
    columns = {"all weights": None, **layers}
    for (scale, length, cosine), (title, names) in zip(
        panels.T, columns.items(), strict=True
    ):
        for label, of_label in records.items():
            shown, prefix = of_label, ""
            if names is not None:
                prefix = "layer_"
                shown = [select_layer(record, names[label]) for record in of_label]
            with np.errstate(invalid="ignore"):  # negative where noise hides it
                norms = [np.sqrt(record[f"{prefix}signal"]) for record in shown]
            shown = [r | {"norm": n} for r, n in zip(shown, norms, strict=True)]
            draw_line(scale, shown, f"{prefix}noise_scale", styles[label])
            draw_line(length, shown, "norm", styles[label])
            draw_line(cosine, shown, f"{prefix}cosine", styles[label])
        _draw_reference(scale, records, "batch size", lambda r: r["batch_size"])
        format_over_steps(scale, title, log=True, xlabel="")
        format_over_steps(length, log=True, xlabel="")
        format_over_steps(cosine)
        cosine.set_ylim(-1.05, 1.05)
    panels[0, 0].set_ylabel("noise scale")
    panels[1, 0].set_ylabel("|mean gradient|")
    panels[2, 0].set_ylabel("cosine between batches")


def draw_spectrum(axes, spectra, styles):
    """Draws densities of eigenvalues.

    Args:
        axes: Where to draw.
        spectra: Dict from label to `Spectrum`.
        styles: See above.
    """
    lowest, highest = np.inf, 0.0
    for label, spectrum in spectra.items():
        extent = np.ptp(spectrum.grid)
        # A tenth of a single eigenvalue spread over the whole extent.
        lowest = min(lowest, 0.1 / (spectrum.size * extent))
        highest = max(highest, 3 * spectrum.density.max())
        line = styles[label].line
        axes.plot(spectrum.grid, spectrum.density, label=styles[label].label, **line)
    axes.set(xlabel="eigenvalue of $H$", ylabel="density")
    if highest > 0:  # not where all densities are NaN
        set_log_scale(axes, "y")
        axes.set_ylim(lowest, highest)
    axes.grid(alpha=0.3)


def draw_covariate_shift(figure, records, styles, layers):
    """Draws cosine and l2 difference of gradients, one column per layer.

    Args:
        figure: Figure or subfigure.
        records: See above.
        styles: See above.
        layers: Dict from the title of a column to the layer's name in each run, a dict
            from label to name.
    """
    panels = figure.subplots(2, len(layers), sharex=True, squeeze=False)
    for cosine, difference, (title, names) in zip(*panels, layers.items(), strict=True):
        for label, of_label in records.items():
            shown = [select_layer(record, names[label]) for record in of_label]
            draw_line(cosine, shown, "cosine", styles[label])
            draw_line(difference, shown, "l2", styles[label])
        format_over_steps(cosine, title, xlabel="")
        format_over_steps(difference, log=True)
        cosine.set_ylim(-1.05, 1.05)
    panels[0, 0].set_ylabel("cosine")
    panels[1, 0].set_ylabel(r"$\ell_2$ difference")


def draw_layer_scales(figure, records, styles, layers):
    """Draws update ratio, effective learning rate, norm and distance of the weights.

    Args:
        figure: Figure or subfigure.
        records: See above.
        styles: See above.
        layers: As in `draw_covariate_shift`.
    """
    rows = {
        "update_ratio": "|update| / |weights|",
        "effective_learning_rate": "effective learning rate",
        "weight_norm": "|weights|",
        "distance": "|weights - initial|",
    }
    if not all("distance" in of_label[0] for of_label in records.values()):
        del rows["distance"]  # records of older versions lack it
    panels = figure.subplots(len(rows), len(layers), sharex=True, squeeze=False)
    for column, (title, names) in zip(panels.T, layers.items(), strict=True):
        for axes, quantity in zip(column, rows, strict=True):
            for label, of_label in records.items():
                shown = [select_layer(record, names[label]) for record in of_label]
                draw_line(axes, shown, quantity, styles[label])
            low, high = axes.dataLim.intervaly
            # A logarithmic axis of less than a decade has crowded labels, and the
            # distance is zero at first.
            log = high > 10 * low and quantity != "distance"
            format_over_steps(axes, log=log, xlabel="")
        column[0].set_title(title)
        column[-1].set_xlabel("step")
    for axes, ylabel in zip(panels[:, 0], rows.values(), strict=True):
        axes.set_ylabel(ylabel)


def draw_distributions(figure, records, styles, layers, runs_in_rows=False):
    """Draws ridges of the first seed, one row per layer and one column per run.

    Args:
        figure: Figure or subfigure.
        records: See above.
        styles: See above.
        layers: List of dicts from label to the layer's name in that run.
        runs_in_rows: Whether to transpose: one row per run, one column per layer.
    """
    shape = (len(layers), len(records))
    panels = figure.subplots(*(shape[::-1] if runs_in_rows else shape), squeeze=False)
    for row, names in zip(panels.T if runs_in_rows else panels, layers, strict=True):
        for axes, (label, of_label) in zip(row, records.items(), strict=True):
            shown = select_layer(of_label[0], names[label])
            draw_ridges(axes, shown, styles[label])
            title = f"{names[label]}, unit {shown['units'][0]}"
            axes.set_title(f"{styles[label].label}\n{title}".strip(), fontsize="small")
    for axes in panels[:, 0]:
        axes.set_ylabel("step", fontsize="small")
    for axes in panels[-1]:
        axes.set_xlabel("activation", fontsize="small")
