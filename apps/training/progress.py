"""Progress of a run on the terminal."""

import sys
import time

import keras

from keras_bnsmooth import keras_model


class Progress(keras.callbacks.Callback):
    """Callback that prints step, loss, accuracy, steps per second and the time left.

    On a terminal, one line is updated in place. In a log file, a line is added every
    few seconds.

    Args:
        steps: Total steps of the run.
        file: File to print to; defaults to standard output.
        interval: Seconds between two lines in a log file.
    """

    def __init__(self, steps, file=None, interval=10.0):
        super().__init__()
        self._steps = steps
        self._file = file or sys.stdout
        self._interval = interval
        self._terminal = self._file.isatty()
        self._test = ""
        self._printed_at = None

    def on_epoch_end(self, epoch, logs=None):
        """Prints a line if one is due."""
        now = time.monotonic()
        step = keras_model.step(self.model)
        if "val_accuracy" in logs:
            self._test = f"  test accuracy {logs['val_accuracy']:.3f}"
        if self._printed_at is None:
            # The first interval includes compilation and says nothing about speed.
            self._started_at, self._started_step = now, step
            speed = ""
        else:
            rate = (step - self._started_step) / (now - self._started_at)
            speed = (
                f"  {rate:.1f} steps/s  {_duration((self._steps - step) / rate)} left"
            )
        due = self._printed_at is None or now - self._printed_at >= self._interval
        if self._terminal or due or step == self._steps:
            self._print(f"step {step}/{self._steps}{_values(logs)}{self._test}{speed}")
            self._printed_at = now

    def on_train_end(self, logs=None):
        """Ends the last line."""
        if self._terminal:
            print(file=self._file)

    def _print(self, line):
        start, end = ("\r\x1b[K", "") if self._terminal else ("", "\n")
        print(start + line, end=end, file=self._file, flush=True)


def _values(logs):
    shown = (name for name in ("loss", "accuracy") if name in logs)
    return "".join(f"  {name} {logs[name]:.4g}" for name in shown)


def _duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
