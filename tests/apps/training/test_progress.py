import io
from types import SimpleNamespace

from apps.training import progress
from apps.training.progress import Progress


def test_it_shows_loss_accuracy_speed_and_time_left(monkeypatch):
    moments = iter([100.0, 110.0, 130.0])
    clock = SimpleNamespace(monotonic=lambda: next(moments))
    monkeypatch.setattr(progress, "time", clock)
    file = io.StringIO()
    callback = Progress(steps=400, file=file)
    optimizer = SimpleNamespace()
    callback.set_model(SimpleNamespace(optimizer=optimizer))
    for step, logs in [
        (50, {"loss": 2.0, "accuracy": 0.25}),
        (100, {"loss": 1.0, "accuracy": 0.5, "val_accuracy": 0.75}),
        (200, {"loss": 0.5, "accuracy": 0.5}),
    ]:
        optimizer.iterations = step
        callback.on_epoch_end(step // 50, logs)
    assert file.getvalue().splitlines() == [
        "step 50/400  loss 2  accuracy 0.25",
        "step 100/400  loss 1  accuracy 0.5  test accuracy 0.750"
        "  5.0 steps/s  1 min 0 s left",
        "step 200/400  loss 0.5  accuracy 0.5  test accuracy 0.750"
        "  5.0 steps/s  40 s left",
    ]
