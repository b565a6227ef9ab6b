import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from apps.engines.local import Job, Outcome, run_jobs


def _job(name, code):
    return Job(name, ["-c", textwrap.dedent(code)], minutes=1)


def test_jobs_run_in_order_and_show_progress_over_all(capfd):
    code = "print('step 5/10  loss 1'); print('noise')"
    assert run_jobs([_job("a", code), _job("b", code)], done_minutes=2) == Outcome()
    lines = capfd.readouterr().out.splitlines()
    assert [line.partition("] ")[2] for line in lines] == [
        "a: step 5/10  loss 1",
        "a: ended",
        "b: step 5/10  loss 1",
        "b: ended",
    ]
    # Two of four minutes were there, the first line is half of another one.
    assert lines[0].startswith("[0 of 2 runs, 62%")
    assert lines[-1].startswith("[2 of 2 runs, 100%")


def test_a_failure_does_not_stop_the_others_and_its_reason_is_kept():
    jobs = [
        _job("bad", "import sys; print('why', file=sys.stderr); sys.exit(1)"),
        _job("silent", "import os; os._exit(3)"),
        _job("killed", "import os; print('step 1/2'); os.kill(os.getpid(), 9)"),
        _job("misspelt", "print('Unknown flag'); print('Pass --helpshort'); exit(1)"),
        _job("good", "pass"),
    ]
    outcome = run_jobs(jobs, at_once=2)
    assert outcome.left == []
    assert outcome.failed == {
        "bad": "why",
        "silent": "exit code 3 without output",
        "killed": "killed by SIGKILL",
        "misspelt": "Unknown flag",
    }


def test_two_jobs_run_at_the_same_time(tmp_path):
    # Each waits for the other's file.
    code = """
    import pathlib, time
    pathlib.Path({mine!r}).touch()
    while not pathlib.Path({other!r}).exists():
        time.sleep(0.01)
    """
    a, b = str(tmp_path / "a"), str(tmp_path / "b")
    jobs = [
        _job("a", code.format(mine=a, other=b)),
        _job("b", code.format(mine=b, other=a)),
    ]
    assert run_jobs(jobs, at_once=2) == Outcome()


def test_an_interruption_ends_the_jobs(tmp_path):
    pid = tmp_path / "pid"
    job = (
        f"import os, time; print(os.getpid(), file=open({str(pid)!r}, 'w'), flush=True)"
    )
    caller = f"""
    import signal
    from apps.engines.local import Job, run_jobs
    # A shell in the background starts programs that ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run_jobs([Job("a", ["-c", {job + "; time.sleep(600)"!r}], 1)] * 3)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(caller)], stderr=subprocess.PIPE
    )
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.01)
    # To the caller alone, unlike Ctrl-C in a terminal.
    process.send_signal(signal.SIGINT)
    assert b"KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()


def test_time_is_respected_and_what_is_left_is_named():
    jobs = [_job(name, "import time; time.sleep(600)") for name in "ab"]
    started_at = time.monotonic()
    assert run_jobs(jobs, time_limit=0.01).left == ["a", "b"]
    assert time.monotonic() - started_at < 300
