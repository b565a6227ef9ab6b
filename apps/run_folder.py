"""The folder in which one command makes many runs."""

import shlex


def check_run_flags(folder, run_flags):
    """Keeps runs that were made with other `--run_flags` from passing as these.

    Args:
        folder: The folder of run directories; `run_flags.txt` in it keeps the flags.
        run_flags: The flags as one string.

    Raises:
        ValueError: The runs in the folder were made with others.
    """
    path = folder / "run_flags.txt"
    there = path.read_text().strip() if path.exists() else ""
    if shlex.split(there) == shlex.split(run_flags):
        return
    if any(folder.glob("*/config.json")):
        raise ValueError(
            f'the runs in {folder} were made with --run_flags="{there}" (asked: '
            f'"{run_flags}"); pass the same flags, or another --output.'
        )
    path.write_text(run_flags + "\n")
