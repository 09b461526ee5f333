"""Files that are damaged, foreign, or none, among the results."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.torture.room import Room, Tally

_NESTED = b"[" * 100_000

#: What replaces the content of a file, or is put beside the good ones.
BYTES: dict[str, bytes] = {
    "empty": b"",
    "a zero byte": b"\0" * 64,
    "no UTF-8": b"\xff\xfe{",
    "half": b'{"study": "work", "point": "p',
    "nested": _NESTED,
    "a number": b"3",
    "a list": b'[{"sessions": 3}]',
    "null": b"null",
    "sessions": b'{"e": {"sessions": 3}}',
    "huge numbers": b'{"processes": 1e999, "seconds": NaN}',
}


def damage(folder: Path) -> Iterator[Tally]:
    """Each kind of damage at each kind of file."""
    yield from (_foreign(folder, name, content) for name, content in BYTES.items())
    yield _changed(folder)
    yield from (_replaced(folder, kind, make) for kind, make in _PLACES.items())
    yield from (_tables(folder, name, content) for name, content in BYTES.items())


def _room(folder: Path, case: str) -> Room:
    """A study that is done; its first results are made once."""
    model = folder / "done"
    if not model.is_dir():
        made = Room(model, "done")
        made.run()
    room = Room(folder / case.replace(" ", "-"), case)
    shutil.copytree(model / "results", room.results, symlinks=True)
    room.look()
    return room


def _foreign(folder: Path, name: str, content: bytes) -> Tally:
    """A file of this content beside the good ones, under each of their names."""
    room = _room(folder, f"foreign file: {name}")
    launches = room.results / "launches" / "work"
    for other in ("p0-foreign.json", "session-foreign.json", "stop-e-p.json", "x.json", "noise"):
        (launches / other).write_bytes(content)
    running = launches / ".running" / "elsewhere" / "p0-1"
    running.mkdir(parents=True)
    for other in ("launch.json", "repetitions.jsonl"):
        (running / other).write_bytes(content)
    room.run("status")
    return room.end()


def _changed(folder: Path) -> Tally:
    """Copies of a launch file with one value replaced by what cannot stand there."""
    room = _room(folder, "launch files with one wrong value")
    launches = room.results / "launches" / "work"
    good = json.loads(min(launches.glob("p*.json")).read_text())
    wrong = ["two", None, 3, -1, [], {}, [None], {"a": {}}, True, 1e300, float("nan")]
    number = 0
    for place in [
        *({"key": key} for key in good),
        *({"in": key} for key in good["repetitions"][0]),
    ]:
        for value in wrong:
            item = json.loads(json.dumps(good))
            if "key" in place:
                item[place["key"]] = value
            else:
                item["repetitions"][0][place["in"]] = value
            number += 1
            (launches / f"p0-wrong-{number}.json").write_text(json.dumps(item))
    room.run("status")
    room.run("collect")
    for path in launches.glob("p0-wrong-*.json"):
        path.unlink()
    room.seen = {name for name in room.seen if not name.startswith("p0-wrong-")}
    return room.end()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


_PLACES: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir, "a pipe": _pipe, "a device": _device, "a loop of links": _loop,
    "a dangling link": lambda path: path.symlink_to("nowhere"),
}  # fmt: skip


def _replaced(folder: Path, kind: str, make: Callable[[Path], None]) -> Tally:
    """Something that is no file in a file's place, one place after another."""
    room = _room(folder, f"{kind} in a file's place")
    launches = room.results / "launches" / "work"
    for path in (
        launches / "p0-other.json", launches / "session-other.json", launches / ".collect.lock",
        room.results / "work.csv", room.results / "work.ranks.csv",
        room.results / "work.environment.json", room.results / "work.csv.schema.json",
        room.results / "work.points.csv",
    ):  # fmt: skip
        aside = room.folder / "aside"
        if path.is_file():
            path.replace(aside)
        make(path)
        room.run("collect")
        room.run("status")
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if aside.exists():
            aside.replace(path)
    return room.end()


def _tables(folder: Path, name: str, content: bytes) -> Tally:
    """Tables that hold something else: they are left alone, and told of."""
    room = _room(folder, f"table: {name}")
    for path in sorted(room.results.glob("work*.*")):
        saved = path.read_bytes()
        path.write_bytes(content)
        room.run("collect")
        room.run("status")
        if path.name in ("work.csv", "work.ranks.csv") and content:
            room.expect(path.read_bytes() == content, f"{path.name} was overwritten")
        path.write_bytes(saved)
    return room.end()
