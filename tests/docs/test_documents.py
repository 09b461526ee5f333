"""README and docs: links lead somewhere, and commands are as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click import Context, NoSuchOption
from click.testing import CliRunner

from harness.cli import main as harness
from kernels.commands.cli import main as kernels
from plots.cli import plots
from sparring.commands.cli import main as sparring
from tests import newcomer

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = {"harness": harness, "kernels": kernels, "plots": plots, "sparring": sparring}
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.M))


def name_of(page):
    return str(page.relative_to(ROOT))


def anchors(page):
    """As GitHub makes them of headings."""
    text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.S)
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_relative_links_resolve(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.S)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def commands_of(text):
    """Lines of the page's blocks that call Sparring or make, without their comments."""
    for language, block in re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S):
        for line in [] if language else block.replace("\\\n", " ").splitlines():
            if re.match(r"([A-Z_]+=\S+ )*(make|\S*python -m) ", line):
                yield shlex.split(line, comments=True)


def check(words):
    if "make" in words:
        for word in words[words.index("make") + 1 :]:
            assert "=" in word or word in TARGETS, words
        return
    module, *rest = words[words.index("-m") + 1 :]
    if module not in COMMANDS or not rest:
        return
    for end in ("&&", "|", ">"):
        rest = rest[: rest.index(end)] if end in rest else rest
    command = COMMANDS[module].get_command(Context(COMMANDS[module]), rest[0])
    assert command, words
    command.make_parser(Context(command)).parse_args(rest[1:])  # raises at an unknown option


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page):
    for words in commands_of(page.read_text("utf-8")):
        check(words)


@pytest.mark.parametrize(
    "line", ["make fly", "python -m harness flee x", "python -m plots scaling --no x"]
)
def test_a_wrong_command_would_be_found(line):
    with pytest.raises((AssertionError, NoSuchOption), match=r"fly|flee|--no"):
        check(line.split())


def test_the_readmes_figure_is_drawn_by_its_command(tmp_path):
    words = re.search(r"`\S+python -m plots (scaling\s+\S+\.csv)", README)[1].split()
    picture = ROOT / re.search(r"!\[.*?\]\((.*?)\)", README)[1]
    result = CliRunner().invoke(plots, [words[0], str(ROOT / words[1]), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert (tmp_path / picture.name).exists()
    told = re.search(r"data_parallel +measured +2 .*?\n", result.output)[0]
    for number in ("1.96", "[1.80, 2.13]"):  # as the caption says
        assert number in told
    assert "1.96 times" in README


def test_the_first_example_of_tables_runs(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    example = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "tables.md").read_text(), re.S)[1]
    exec(compile(example, "tables.md", "exec"), {})
    lines = capsys.readouterr().out.splitlines()
    shown = {tuple(line.split()[:2]): float(line.split()[2]) for line in lines}
    assert 0 < shown["data_parallel", "2"] < shown["sequential", "1"]


def test_the_readmes_commands_are_found_with_their_tasks():
    found = list(newcomer.commands(README))
    tasks = re.findall(r"^## (.+)$", README, re.M)
    assert list(dict.fromkeys(command.task for command in found)) == ["Start", *tasks[:-1]]
    assert found[0].line == "make strong-scaling PRESET=smoke"
    (own,) = [command for command in found if command.files]
    assert own.line == ".venv/bin/python -m harness run sums.toml"
    assert own.files[0][0] == "sums.toml"
    assert [command.line for command in found if command.needs_cluster] == [
        ".venv/bin/python -m harness submit experiments/strong_scaling.toml"
    ]
    assert all("#" not in command.line for command in found)


def test_the_readmes_own_workload(tmp_path):
    name, text = re.search(r"```toml\n# file: (\S+)\n(.*?)```", README, re.S).groups()
    (tmp_path / name).write_text(text, "utf-8")
    arguments = ["run", tmp_path / name, "--results", tmp_path, "--set", "measure.launches=1"]
    result = CliRunner().invoke(harness, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    table = (tmp_path / "sums.csv").read_text("utf-8")
    assert table.count(",ok,") == 4  # two points, each with its warm-up


def test_the_site_s_contents_name_every_page_once():
    listed = re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text().split("\nnav:")[1])
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert sorted(listed) == sorted([*pages, "index.md", "reference.md"])
