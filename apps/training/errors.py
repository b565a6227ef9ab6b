"""What ends a run early, for the person who started it."""


class RunError(ValueError):
    """The run directory cannot be used as asked; the message says what to do."""


class DivergedError(RuntimeError):
    """The loss is no longer finite.

    Attributes:
        step: The last step of the interval in which the loss was seen not finite.
    """

    def __init__(self, step, loss):
        super().__init__(
            f"Training diverged: the loss is {loss} in the steps up to {step}. "
            "Lower the learning rate."
        )
        self.step = step
