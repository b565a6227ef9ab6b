"""The networks that the paper's figures show, and their runs."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Setting:
    """A network and how its loss is reduced.

    Attributes:
        network: `"vgg"` or `"dln"`, as in `records.runs`.
        reduction: Of the DLN's squared error, else None.
        title: Over its panels.
        loss: Label of an axis with its loss.
        learning_rate: None takes the one that most runs have.
    """

    network: str
    reduction: str | None
    title: str
    loss: str
    learning_rate: float | None = None

    def runs(self, runs, norm, record="metrics"):
        """Returns the runs of a norm that have the record, in the order of seeds.

        Args:
            runs: A `RunSet`.
            norm: Normalization.
            record: Its name.
        """
        selected = runs.select(
            self.network,
            norm,
            reduction=self.reduction,
            learning_rate=self.learning_rate,
        )
        return [run for run in selected if run.has(record)]

    def records(self, runs, norm, record):
        """Returns the record of each of these runs, as `Run.record` does."""
        return [run.record(record) for run in self.runs(runs, norm, record)]


VGG = Setting("vgg", None, "VGG", "loss")
# The paper does not say how it reduces the squared error, and its results hang on it.
DLN_SUM_MEAN = Setting(
    "dln",
    "sum_mean",
    "DLN, squared error summed over samples, averaged over outputs",
    "squared error (sum, mean)",
)
DLN_SUM_SUM = Setting(
    "dln",
    "sum_sum",
    "DLN, squared error summed over samples and outputs",
    "squared error (sum, sum)",
)
DLN = (DLN_SUM_MEAN, DLN_SUM_SUM)
