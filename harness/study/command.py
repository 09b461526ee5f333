"""A command line in the place of a workload: how parameters stand in it, and what it is made of."""

from __future__ import annotations

import hashlib
import re
import shlex
import shutil
import string
from collections.abc import Mapping
from pathlib import Path

from harness.study.study import Study
from harness.study.values import Command, Scalar
from harness.tables.columns import Value
from harness.tables.table import text_of


def argv_of(command: Command, parameters: Mapping[str, Scalar]) -> list[str]:
    """The command line of a point; each word may hold ``{parameter}``, whatever its value holds.

    Raises:
        ValueError: if it cannot be split into words, or names what is no parameter.
    """
    texts = {name: text_of(value) for name, value in parameters.items()}
    words = []
    for word in shlex.split(command.run):
        try:
            words.append(string.Formatter().vformat(word, (), texts))
        except (KeyError, IndexError) as error:
            known = ", ".join(texts)
            name = str(error.args[0]) if isinstance(error, KeyError) else "{}"
            raise ValueError(f"{name!r} is no parameter; expected one of {known}") from None
        except (ValueError, AttributeError) as error:
            raise ValueError(f"{word!r}: {error}") from None
    if not words:
        raise ValueError("expected a program and its arguments")
    return words


def program_of(study: Study, argv: list[str]) -> Path | None:
    """The file of the program: beside the study where it has a slash, else on PATH."""
    if "/" in argv[0]:
        path = study.folder / argv[0]
        return path if path.is_file() else None
    found = shutil.which(argv[0])
    return Path(found) if found else None


def check_command(study: Study, parameters: Mapping[str, Scalar]) -> None:
    """Refuse a point whose command cannot be started.

    Raises:
        UserError: with one sentence that names the key.
    """
    assert study.command is not None
    try:
        argv = argv_of(study.command, parameters)
    except ValueError as error:
        raise study.source.error(("command", "run"), f"'command.run': {error}") from None
    if program_of(study, argv) is None:
        where = "beside the study" if "/" in argv[0] else "on PATH"
        raise study.source.error(
            ("command", "run"), f"'command.run': there is no program '{argv[0]}' {where}"
        )


def code_of(study: Study) -> str:
    """Hash of the command line, its patterns, the program's file and the files that it declares.

    Raises:
        UserError: if a declared file is not there.
    """
    assert study.command is not None
    digest = hashlib.sha256(study.command.model_dump_json().encode())
    words = shlex.split(study.command.run)
    program = program_of(study, words) if words and "{" not in words[0] else None
    files = [program] if program else []
    for name in study.command.files:
        files.append(study.folder / name)
        if not files[-1].is_file():
            raise study.source.error(("command", "files"), f"'command.files': no file '{name}'")
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def metrics_in(output: str, patterns: Mapping[str, str]) -> dict[str, Value]:
    """What the patterns find in a program's output, each its last match: a number, or a text.

    Raises:
        ValueError: if one finds nothing.
    """
    found: dict[str, Value] = {}
    for name, pattern in patterns.items():
        matches = list(re.finditer(pattern, output, re.MULTILINE))
        if not matches:
            raise ValueError(f"'{name}': the output has nothing like {pattern!r}")
        text = matches[-1][1] if matches[-1].re.groups else matches[-1][0]
        try:
            found[name] = float(text)
        except ValueError:
            found[name] = text
    return found
