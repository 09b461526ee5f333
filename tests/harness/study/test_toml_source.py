from __future__ import annotations

from pathlib import Path

import pytest

from harness.errors import InputError, UserError
from harness.study.toml_source import TomlSource, read_toml

TEXT = '''\
name = "s"  # line 1
a.b.c = 1
"quoted key" = 2
text = """
not.a.key = 5
"""
list = [
    1,  # an element with a comment
    2,
]
inline = { x = 1, y = { z = [1,
  2] } }

[table.sub]
key = 1
"dotted.quoted".deep = 2

[[points]]
p = 1
[[points]]
p = 2
[points.inner]
q = 3
[[points.more]]
r = 4
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("name",), 1),
        (("a", "b", "c"), 2),
        (("a", "b"), 2),
        (("quoted key",), 3),
        (("text",), 4),
        (("list",), 7),
        (("list", 0), 8),
        (("list", 1), 9),
        (("inline", "x"), 11),
        (("inline", "y", "z", 1), 12),
        (("table", "sub"), 14),
        (("table", "sub", "key"), 15),
        (("table", "sub", "dotted.quoted", "deep"), 16),
        (("points", 0, "p"), 19),
        (("points", 1, "p"), 21),
        (("points", 1, "inner", "q"), 23),
        (("points", 1, "more", 0, "r"), 25),
    ],
)
def test_line_of_every_kind_of_key(path, line):
    assert TomlSource(Path("s.toml"), TEXT).line(path) == line


def test_absent_key_has_the_line_of_its_table():
    source = TomlSource(Path("s.toml"), TEXT)
    assert source.line(("table", "sub", "absent", "deeper")) == 14
    assert source.line(("absent",)) is None
    assert str(source.error(("absent",), "told")) == "s.toml: told"


def test_windows_line_ends_keep_their_lines():
    source = TomlSource(Path("s.toml"), TEXT.replace("\n", "\r\n"))
    assert source.line(("points", 1, "more", 0, "r")) == 25


def test_syntax_error_names_the_line():
    with pytest.raises(InputError) as caught:
        TomlSource(Path("s.toml"), "a = 1\nb = = 2\n")
    assert str(caught.value) == (
        "s.toml:2: this is not TOML: Invalid value; expected a number, true, false, a list, or a "
        "text in quotes"
    )


def test_holds_and_nearest():
    source = TomlSource(Path("s.toml"), TEXT)
    assert source.holds(("points", 1, "p"))
    assert not source.holds(("points", 2))
    assert not source.holds(("name", "s"))
    assert source.nearest(("table",), ("sub", "key")) == ("table", "sub", "key")
    assert source.nearest(("table",), ("a",)) == ("a",)


def test_byte_order_mark_is_no_fault(tmp_path):
    path = tmp_path / "bom.toml"
    path.write_bytes(b"\xef\xbb\xbfname = 1\n")
    assert read_toml(path).data == {"name": 1}


@pytest.mark.parametrize("kind", ["absent", "folder", "binary"])
def test_what_cannot_be_read_is_told_in_a_sentence(tmp_path, kind):
    path = tmp_path / "study.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "binary":
        path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError) as caught:
        read_toml(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_text_that_is_nested_too_deeply():
    with pytest.raises(InputError, match=r"deep\.toml: this is not TOML: it is nested too deeply"):
        TomlSource(Path("deep.toml"), "a = " + "[" * 5000 + "]" * 5000)
