"""Damages to single files: those of records and of arrays."""

import json

_FOREIGN = (
    *(None, True, 3, -1, 1e400, 2**70, "x", "", "NaN", "\u202e\x1b[31m"),
    *([], [1], {}, {"a": 1}, [[1, 2], [3]], ["a", "b"]),
)
_LINES = ("3\n", "[]\n", "{}\n", '"a"\n', '{"step": 1}\n', "\0\n")


def _mutated(rng, value):
    """Returns a JSON value with one part of it replaced or removed."""
    if isinstance(value, dict) and value and rng.random() < 0.8:
        key = rng.choice(list(value))
        if rng.random() < 0.2:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: _mutated(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.5:
        place = rng.randrange(len(value))
        return [*value[:place], _mutated(rng, value[place]), *value[place + 1 :]]
    return rng.choice(_FOREIGN)


def _mutate(rng, path):
    if path.suffix == ".json":
        path.write_text(json.dumps(_mutated(rng, json.loads(path.read_text()))))
        return
    lines = path.read_text().splitlines()
    place = rng.randrange(len(lines))
    lines[place] = json.dumps(_mutated(rng, json.loads(lines[place])))
    path.write_text("\n".join(lines) + "\n")


def _cut(rng, path):
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content))])


def _flip(rng, path):
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] = rng.randrange(256)
    path.write_bytes(content)


def _replace_by_directory(rng, path):
    path.unlink()
    path.mkdir()


def _replace_by_dangling_link(rng, path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


_DAMAGES = {
    "mutate": _mutate,
    "mutate again": _mutate,
    "cut": _cut,
    "flip": _flip,
    "empty": lambda rng, path: path.write_bytes(b""),
    "noise": lambda rng, path: path.write_bytes(rng.randbytes(200)),
    "append": lambda rng, path: path.write_text(path.read_text() + rng.choice(_LINES)),
    "remove": lambda rng, path: path.unlink(),
    "directory": _replace_by_directory,
    "link": _replace_by_dangling_link,
}
KINDS = tuple(_DAMAGES)
_OF_ANY_FORMAT = tuple(kind for kind in KINDS if kind[:6] not in ("mutate", "append"))


def damage_file(rng, path):
    """Damages a file in a way that its format allows; returns what was done."""
    kinds = KINDS if path.suffix in (".json", ".jsonl") else _OF_ANY_FORMAT
    kind = rng.choice(kinds if path.stat().st_size else ("remove", "directory", "link"))
    _DAMAGES[kind](rng, path)
    return f"{kind} {path.name}"
