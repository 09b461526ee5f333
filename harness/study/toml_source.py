"""TOML with the line of every key, so that an error message can point at it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from harness.errors import InputError, UserError, did_you_mean

KeyPath = tuple[str | int, ...]


class TomlSource:
    """A parsed TOML file: its ``data``, and the line where each key path was written.

    Raises:
        InputError: if it is not TOML.
    """

    def __init__(self, path: Path, text: str) -> None:
        self.path, self.text = path, text
        try:
            self.data: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            place = re.search(r"\(at line (\d+)", str(error))  # else at the end of the text
            line = int(place[1]) if place else max(1, len(text.splitlines()))
            reason = str(error).split(" (at ")[0]
            if reason == "Invalid value":
                reason += "; expected a number, true, false, a list, or a text in quotes"
            raise InputError(path, f"this is not TOML: {reason}", line) from None
        except RecursionError:
            raise InputError(path, "this is not TOML: it is nested too deeply") from None
        self._lines = _lines_of(text)

    def line(self, path: KeyPath) -> int | None:
        """Line of a key, or of the nearest table around it that was written out."""
        for end in range(len(path), 0, -1):
            if path[:end] in self._lines:
                return self._lines[path[:end]]
        return None

    def holds(self, path: KeyPath) -> bool:
        """Whether the file has a value at this key path."""
        value: Any = self.data
        for part in path:
            if isinstance(value, dict):
                if part not in value:
                    return False
            elif not (isinstance(value, list) and isinstance(part, int) and part < len(value)):
                return False
            value = value[part]
        return True

    def nearest(self, prefix: KeyPath, path: KeyPath) -> KeyPath:
        """``path`` below ``prefix`` if it was written there, else the path itself."""
        return prefix + path if self.holds(prefix + path) else path

    def error(self, path: KeyPath, message: str) -> InputError:
        """An error that points at a key of this file."""
        return InputError(self.path, message, self.line(path))


def read_toml(path: Path) -> TomlSource:
    """Read a TOML file.

    Raises:
        UserError: if there is no such file, or it is no text.
        InputError: if it is not TOML.
    """
    try:
        return TomlSource(path, path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        near = did_you_mean(path.name, [other.name for other in path.parent.glob("*.toml")])
        raise UserError(f"{path}: no such file; expected a study in TOML{near}") from None
    except IsADirectoryError:
        raise UserError(f"{path}: is a folder; expected a study in TOML") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error})") from None


def _lines_of(text: str) -> dict[KeyPath, int]:
    """Map each key path to its 1-based line.

    The grammar's own parser does the reading (strings over several lines, comments, quoted keys),
    on text that tomllib has accepted.
    """
    tree = Parser(Language(tree_sitter_toml.language())).parse(text.encode())
    lines: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}  # how many elements each array of tables has so far

    def resolve(keys: list[str]) -> KeyPath:
        """Put the index of the current element behind every array of tables on the way."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            if path in arrays:
                path = (*path, arrays[path] - 1)
        return path

    def value(node: Node, path: KeyPath) -> None:
        if node.type == "array":
            elements = [child for child in node.named_children if child.type != "comment"]
            for index, child in enumerate(elements):
                lines[(*path, index)] = child.start_point.row + 1
                value(child, (*path, index))
        elif node.type == "inline_table":
            for child in node.named_children:
                pair(child, path)

    def pair(node: Node, path: KeyPath) -> None:
        if node.type != "pair":
            return
        for key in _key(node.named_children[0]):
            path = (*path, key)
            lines.setdefault(path, node.start_point.row + 1)
        value(node.named_children[1], path)

    for node in tree.root_node.named_children:
        if node.type == "pair":
            pair(node, ())
        elif node.type in ("table", "table_array_element"):
            keys = _key(node.named_children[0])
            if node.type == "table_array_element":
                path = (*resolve(keys[:-1]), keys[-1])
                lines.setdefault(path, node.start_point.row + 1)
                arrays[path] = arrays.get(path, 0) + 1
                path = (*path, arrays[path] - 1)
            else:
                path = resolve(keys)
            lines.setdefault(path, node.start_point.row + 1)
            for child in node.named_children[1:]:
                pair(child, path)
    return lines


def _key(node: Node) -> list[str]:
    """The parts of a bare, quoted or dotted key."""
    if node.type == "dotted_key":
        return [part for child in node.named_children for part in _key(child)]
    text = (node.text or b"").decode()
    if node.type == "quoted_key":
        return [next(iter(tomllib.loads(f"{text} = 0")))]
    return [text]
