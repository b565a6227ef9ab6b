"""Writes the report as one self-contained HTML page."""

import base64
import dataclasses
from pathlib import Path

import jinja2

from apps.claims import RULES_REVISION
from apps.claims.readings import READINGS
from apps.report import ledger
from keras_bnsmooth.records.json_lines import atomic_write

_TITLES = {"vgg": "VGG", "dln": "Deep linear network"}


@dataclasses.dataclass(frozen=True)
class DrawnFigure:
    """A figure of the report.

    Attributes:
        name: For example `"Figure 4"`.
        title: What it shows, in a few words.
        caption: One paragraph.
        path: Path of the PNG; None if the figure could not be drawn.
        problem: Why it could not be drawn, and what to do about it.
    """

    name: str
    title: str
    caption: str
    path: Path | None
    problem: str = ""

    @property
    def image(self):
        """The PNG as a data URL, which makes the page self-contained."""
        encoded = base64.b64encode(self.path.read_bytes()).decode()
        return f"data:image/png;base64,{encoded}"


def write_page(path, *, title, command, runs, judgements, figures, theorems=None):
    """Writes the report.

    Args:
        path: Path of the HTML file.
        title: Title of the page.
        command: The command that generates the page.
        runs: The `RunSet`.
        judgements: List of `Judgement`.
        figures: List of `DrawnFigure`.
        theorems: Result of `read_theorems`.

    Raises:
        OSError: The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("apps.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("page.html").render(
        title=title,
        command=command,
        runs=[_run_row(run) for run in runs.runs],
        problems=runs.problems,
        made_on=_made_on(runs.runs),
        rules_revision=RULES_REVISION,
        readings=[_reading(reading, runs) for reading in READINGS],
        anchor=lambda figure: figure.lower().replace(" ", "-"),
        groups=[
            (title, [one for one in judgements if one.claim.setting.network == network])
            for network, title in _TITLES.items()
        ],
        counts=ledger.counts(judgements),
        signs=ledger.SIGNS,
        value_text=ledger.value_text,
        figures=figures,
        theorems=theorems,
    )
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _run_row(run):
    """The cells of one row in the table of runs."""
    result = run.result
    if run.diverged:
        end = f"diverged at step {result.get('step', 0):,}"
    elif "test_accuracy" in result:
        end = f"test accuracy {result['test_accuracy']:.3f}"
    else:
        error = run.record("metrics")["loss"][-1]
        end = f"squared error {ledger.number(error)}"
    return {
        "name": run.name,
        "end": end,
        "steps": run.steps,
        "command": run.config.get("command", ""),
        "revision": run.config.get("revision") or "unknown",
    }


def _reading(reading, runs):
    """The cells of a reading and of its quantities."""
    rows = [
        (
            quantity.text,
            *(
                ledger.spread_text(values, quantity.unit)
                for values in quantity.values(runs)
            ),
        )
        for quantity in reading.quantities
    ]
    return {**vars(reading), "rows": rows}


def _describe_runs(network, runs):
    """Yields a line on the runs of a network, if there are any."""
    runs = [run for run in runs if run.network == network]
    if not runs:
        return

    def each(values):
        return ", ".join(map(str, sorted(set(values), key=lambda v: (str(type(v)), v))))

    size = "depth " + each(run.flags.get("depth") for run in runs)
    if network == "vgg":
        size += ", width " + each(run.flags.get("width") for run in runs)
    yield (
        f"{_TITLES[network]}: {len(runs)} run{'s' * (len(runs) > 1)} of {size}; steps "
        f"{each(run.steps for run in runs)}; learning rate "
        f"{each(f'{run.learning_rate:g}' for run in runs)}; seed "
        f"{each(run.seed for run in runs)}; norm {each(run.norm for run in runs)}."
    )


def _made_on(runs):
    """The distinct data sets, devices and versions of the runs."""

    def distinct(values):
        return list(dict.fromkeys(value for value in values if value))

    return {
        "networks": [
            line for network in _TITLES for line in _describe_runs(network, runs)
        ],
        "data": distinct(run.config.get("provenance") for run in runs),
        "devices": distinct(run.config.get("device") for run in runs),
        "versions": distinct(
            ", ".join(
                f"{k} {v}" for k, v in run.config.get("versions", {}).items() if v
            )
            for run in runs
        ),
    }
