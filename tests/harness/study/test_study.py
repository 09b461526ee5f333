from __future__ import annotations

import pytest

from harness.errors import UserError
from harness.study.points import expand
from harness.study.study import load_study
from harness.workload import inspect_workload
from tests.harness.studies import study_of, write_study

# The file's first two lines are its name and its workload, so a case begins with line 3.
MALFORMED = [
    ("strategy = 3", "3: 'strategy': unknown key; expected one of name, description, workload"),
    ("[sweep]\nproducts = {}", "4: 'sweep.products': unknown key; expected one of product, zip"),
    ("[measure]\nlaunch = 3", "4: 'measure.launch': unknown key; expected one of launches, max"),
    ("[presets.a]\nparameter = {}", "4: 'presets.a.parameter': unknown key; expected one of"),
    ("[presets.a.measure]\nx = 1", "4: 'presets.a.measure.x': unknown key; expected one of laun"),
    ("[presets.sweep.sweep]\nx = 1", "4: 'presets.sweep.sweep.x': unknown key; expected one of "),
    ("[parameters]\nstrategy = [1]", "4: 'parameters.strategy': expected a number, text or truth"
                                     " value, found [1]"),
    ("[parameters]\nday = 2020-01-01", "4: 'parameters.day': expected a number, text or truth v"),
    ("[measure]\nlaunches = '6'", "4: 'measure.launches': expected an integer, found '6'"),
    ("[measure]\nlaunches = 0", "4: 'measure.launches': expected a number greater than or equal "),
    ("[measure]\nprecision = 2", "4: 'measure.precision': expected a number less than 1, found 2"),
    ("[presets.a.measure]\nlaunches = 1.5", "4: 'presets.a.measure.launches': expected an intege"),
    ("[derived]\nstr = 2", "4: 'derived.str': expected a"),
    ("presets = 3", "3: 'presets': expected a table, found 3"),
    ("[sweep.product]\nstrategy = 3", "4: 'sweep.product.strategy': expected a list of values, or"
                                      " an expression that gives one, found 3"),
    ("[[sweep.points]]\nx = 1\ny = [1]", "5: 'sweep.points[0].y': expected a number, text or tru"),
    ("[sweep.product]\nx = []", "4: 'x': the sweep is empty; expected a value or more"),
    ("[sweep.product]\nx = '3'", "4: 'x': expected a list of values, and '3' gives 3"),
    ("[sweep.product]\nx = '[None]'", "4: 'x': expected numbers, texts or truth values, found N"),
    ("[sweep]\nwhere = ['True', 'False']", "3: the sweep is empty: no combination is left after"),
    ("[sweep]\nwhere = [\n'True',\n'processes = 1']", "6: 'where': 'processes = 1' cannot be eva"),
    ("[sweep.zip]\na = [1]\nb = [1, 2]", "3: lists that are zipped have the same length, but 'a'"
                                         " has 1, 'b' has 2"),
    ("[sweep.product]\nx = [1]\n[sweep.zip]\nx = [1]", "4: 'sweep.product.x': 'x' is set by 'swe"
                                                       "ep.zip.x' already"),
    ("[sweep.product]\nx = [1]\n[derived]\nx = '1'", "6: 'derived.x': 'x' is set by 'sweep.produ"
                                                     "ct.x' already; expected one"),
    ("[sweep.product]\nprocesses = [1, 2000]", "4: 'processes': 2000 is beyond the study's limit "
                                               "of 1024; expected fewer"),
    ("[parameters]\nprocesses = 0", "4: 'processes': expected a whole number from 1, found 0"),
    ("[parameters]\nprocesses = true", "4: 'processes': expected a whole number from 1, found Tr"),
    ("[parameters]\nseed = 1.5", "4: 'seed': expected a whole number, found 1.5"),
    ("[derived]\nprocesses = '4 / 2'", "4: 'processes': expected a whole number from 1, found 2.0"),
    ("[derived]\ny = 'x +'", "4: 'y': 'x +' cannot be evaluated: invalid syntax"),
    ("[derived]\ny = '[1]'", "4: 'y': expected a number, text or truth value, and '[1]' gives [1"),
    ("default_preset = 'q'", "3: there is no preset 'q'; this study's presets are: none"),
    ("[parameters]\nseconds = 1", "4: 'seconds' is a column of every table; choose another name"),
    ("[parameters]\nmachine_cores = 1", "4: 'machine_cores' is this machine's in expressions"),
    ("[parameters]\n'a b' = 1", "4: 'a b': expected letters, digits and underscores"),
    ("[parameters]\n\"a\\n\" = 1", "4: 'a\\n': expected letters, digits and underscores"),
    ("[parameters]\nx = 1\nx = 2", "5: this is not TOML: Cannot overwrite a value"),
    ("a plain sentence", "3: this is not TOML: Expected '=' after a key in a key/value pair"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), MALFORMED, ids=[text for text, _ in MALFORMED])
def test_malformed_study_is_told_with_file_line_key_and_expectation(tmp_path, text, expected):
    path = write_study(tmp_path, text)
    with pytest.raises(UserError) as caught:
        expand(load_study(path))
    assert str(caught.value).startswith(f"{path}:{expected}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('name = "s"', ": the key 'workload' is missing; expected the class to run"),
        ('workload = "w:W"', ": the key 'name' is missing; expected a name such as"),
        ('name = "a b"\nworkload = "w:W"', ":1: 'name': expected letters, digits and underscores"),
        ('name = "../up"\nworkload = "w:W"', ":1: 'name': expected letters, digits and undersc"),
        (f'name = "{"n" * 300}"\nworkload = "w:W"', ":1: 'name': expected at most 100 characters"),
        ('name = "s"\nworkload = "w"', ":2: 'workload': expected \"module:Class\", found 'w'"),
        ("", ": the key 'name' is missing; expected a name such as"),
    ],
)
def test_malformed_head_of_a_study(tmp_path, text, expected):
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load_study(path)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("parameters]\nstatus = 1", 6),
        ("measure]\nwarmups = -1", 6),
        ("sweep]\nzips = {}", 6),
        ("derived]\nx = 1", 6),
    ],
)
def test_fault_inside_an_unselected_preset_is_found(tmp_path, table, line):
    text = "default_preset = 'good'\n[presets.good]\n[presets.bad." + table
    path = write_study(tmp_path, text)
    with pytest.raises(UserError, match=f":{line}: "):
        load_study(path)


@pytest.mark.parametrize(
    ("workload", "expected"),
    [
        ("absent:W", "there is no module 'absent' beside the study"),
        ("package.absent:W", "there is no module 'package.absent'"),
        ("a..b:W", "there is no module 'a..b'"),
        ("sleepy:Awake", "sleepy.py has no class 'Awake' at its top level"),
        ("broken:W", "broken.py is no valid Python"),
        ("nul:W", "nul.py is no valid Python"),
        ("declares:Computed", "Computed.version must be a literal"),
        ("declares:Misspelt", "Misspelt.modules is 3; expected a tuple of names"),
        ("declares:Missing", "Missing.modules names 'not_there', which is no module beside the"),
    ],
)
def test_workload_that_is_not_to_be_found(tmp_path, workload, expected):
    path = write_study(tmp_path, "")
    (tmp_path / "broken.py").write_text("class W\n")
    (tmp_path / "nul.py").write_bytes(b"class W: pass\0")
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("raise RuntimeError('at import')\n")
    (tmp_path / "declares.py").write_text(
        "class Computed:\n    version = 1 + len('x')\n"
        "class Misspelt:\n    modules = 3\n"
        "class Missing:\n    modules = ('not_there',)\n"
    )
    path.write_text(f'name = "s"\nworkload = "{workload}"\n')
    with pytest.raises(UserError) as caught:
        inspect_workload(load_study(path))
    assert str(caught.value).startswith(f"{path}:2: 'workload': ")
    assert expected in str(caught.value)


def test_hash_of_the_code_follows_the_workload_and_its_modules(tmp_path):
    study = study_of(tmp_path, "")
    first = inspect_workload(study)
    assert first.version == "1"
    source = tmp_path / "sleepy.py"
    source.write_text(source.read_text() + "\n# changed\n")
    assert inspect_workload(study).code != first.code
    (tmp_path / "kit").mkdir()
    (tmp_path / "kit" / "__init__.py").write_text("")
    (tmp_path / "kit" / "part.py").write_text("x = 1\n")
    source.write_text("class Sleepy:\n    version = 'b'\n    modules = ('kit',)\n")
    second = inspect_workload(study)
    assert second.version == "b"
    (tmp_path / "kit" / "part.py").write_text("x = 2\n")
    assert inspect_workload(study).code != second.code


def test_class_that_a_package_only_offers_is_followed_to_its_file(tmp_path):
    kit = tmp_path / "bedroom"
    kit.mkdir()
    (kit / "__init__.py").write_text("from bedroom.offers import Nap as Sleep\n")
    (kit / "offers.py").write_text("from .naps import Nap\n")
    (kit / "naps.py").write_text("class Nap:\n    version = 7\n")
    (tmp_path / "s.toml").write_text('name = "s"\nworkload = "bedroom:Sleep"\n')
    study = load_study(tmp_path / "s.toml")
    first = inspect_workload(study)
    assert first.version == "7"
    (kit / "offers.py").write_text("from .naps import Nap  # this is not the workload's code\n")
    assert inspect_workload(study) == first
    (kit / "naps.py").write_text("class Nap:\n    version = 8\n")
    assert inspect_workload(study).code != first.code


def test_to_find_a_class_imports_no_package_above_it(tmp_path):
    kit = tmp_path / "cellar"
    kit.mkdir()
    (kit / "__init__.py").write_text("from cellar.naps import Nap\nraise RuntimeError('heavy')\n")
    (kit / "naps.py").write_text("class Nap:\n    version = 3\n    modules = ('cellar.naps',)\n")
    (tmp_path / "s.toml").write_text('name = "s"\nworkload = "cellar:Nap"\n')
    assert inspect_workload(load_study(tmp_path / "s.toml")).version == "3"


def test_class_that_two_files_only_import_from_each_other_is_not_found(tmp_path):
    (tmp_path / "this_way.py").write_text("from that_way import Lost\n")
    (tmp_path / "that_way.py").write_text("from this_way import Lost\n")
    (tmp_path / "s.toml").write_text('name = "s"\nworkload = "this_way:Lost"\n')
    with pytest.raises(UserError, match=r"this_way\.py has no class 'Lost' at its top level"):
        inspect_workload(load_study(tmp_path / "s.toml"))


PRESETS = """
default_preset = "small"
[parameters]
a = 1
b = 1
[sweep.product]
p = [1, 2]
q = [1]
[measure]
launches = 3
precision = 0.1
[presets.small]
[presets.big]
description = "more"
[presets.big.parameters]
b = 2
[presets.big.sweep.product]
p = [8]
[presets.big.measure]
launches = 9
"""


def test_preset_replaces_key_by_key(tmp_path):
    small = study_of(tmp_path, PRESETS)
    assert (small.preset, small.parameters, small.measure.launches) == (
        "small",
        {"a": 1, "b": 1},
        3,
    )
    big = study_of(tmp_path, PRESETS, "big")
    assert big.parameters == {"a": 1, "b": 2}
    assert big.sweep.product == {"p": [8], "q": [1]}
    assert (big.measure.launches, big.measure.precision) == (9, 0.1)


def test_unknown_preset_names_those_that_exist(tmp_path):
    with pytest.raises(UserError, match=r"there is no preset 'huge'; .* presets are: small, big"):
        study_of(tmp_path, PRESETS, "huge")


@pytest.mark.parametrize(
    ("setting", "parameters", "product", "derived"),
    [
        ("a=7", {"a": 7}, {"p": [1, 2]}, {"d": "a"}),
        ("a = text with, commas", {"a": "text with, commas"}, {"p": [1, 2]}, {"d": "a"}),
        ("a=", {"a": ""}, {"p": [1, 2]}, {"d": "a"}),
        ("a=1e-3", {"a": 1e-3}, {"p": [1, 2]}, {"d": "a"}),
        ("a=true", {"a": True}, {"p": [1, 2]}, {"d": "a"}),
        ("a=x=y", {"a": "x=y"}, {"p": [1, 2]}, {"d": "a"}),
        ("a=[3, 4]", {}, {"p": [1, 2], "a": [3, 4]}, {"d": "a"}),
        ("p=2", {"a": 1, "p": 2}, {}, {"d": "a"}),
        ("p=[4]", {"a": 1}, {"p": [4]}, {"d": "a"}),
        ("d=5", {"a": 1, "d": 5}, {"p": [1, 2]}, {}),
        ("processes=2", {"a": 1, "processes": 2}, {"p": [1, 2]}, {"d": "a"}),
    ],
)
def test_set_a_parameter(tmp_path, setting, parameters, product, derived):
    text = "[parameters]\na = 1\n[sweep.product]\np = [1, 2]\n[derived]\nd = 'a'\n"
    study = study_of(tmp_path, text, None, setting)
    assert study.parameters == parameters
    assert {name: type(value) for name, value in study.parameters.items()} == {
        name: type(value) for name, value in parameters.items()
    }
    assert study.sweep.product == product
    assert study.derived == derived


@pytest.mark.parametrize(
    "table",
    ["[parameters]\na = '1.1'", "[sweep.product]\na = ['1', '2']", "[sweep.zip]\na = ['1']",
     "[[sweep.points]]\na = '1'", "[presets.p.parameters]\na = '1'"],
)  # fmt: skip
@pytest.mark.parametrize("text", ["1.10", "1e5", "true", "0012", "1979-05-27", "nan"])
def test_set_leaves_a_text_a_text(tmp_path, table, text):
    study = study_of(tmp_path, table, "p" if "presets" in table else None, f"a={text}")
    assert study.parameters["a"] == text


def test_set_takes_quoted_texts_and_lists_of_them(tmp_path):
    assert study_of(tmp_path, "", None, "backend=1.10").parameters["backend"] == "1.10"
    given = "[parameters]\na = '1'"
    assert study_of(tmp_path, given, None, "a='1.10'").parameters["a"] == "1.10"
    swept = study_of(tmp_path, given, None, "a=['1.1', '1.10']").sweep.product
    assert swept == {"a": ["1.1", "1.10"]}


def test_set_takes_a_parameter_out_of_zip_and_points(tmp_path):
    text = "[sweep.zip]\na = [1, 2]\nb = [3, 4]\n[[sweep.points]]\nc = 1\n[[sweep.points]]\nc = 2\n"
    study = study_of(tmp_path, text, None, "a=9", "c=5")
    assert [(p.parameters["a"], p.parameters["b"], p.parameters["c"]) for p in expand(study)] == [
        (9, 3, 5), (9, 4, 5),
    ]  # fmt: skip


def test_set_a_measure(tmp_path):
    study = study_of(tmp_path, "", None, "measure.launches=10", "measure.precision=0.5")
    assert (study.measure.launches, study.measure.precision) == (10, 0.5)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("a", "--set a: expected key=value"),
        ("=1", "--set =1: expected key=value"),
        ("nope=1", "has no parameter 'nope'; its parameters are a, backend, processes"),
        ("a=[[1]]", "--set a=[[1]]: expected a number, text or truth value, or a list of them"),
        ("a=2020-01-01", "--set a=2020-01-01: expected a number, text or truth value"),
        ("measure.foo=1", "--set measure.foo: unknown key; expected one of launches"),
        ("measure.launches=x", "--set measure.launches: expected an integer, found 'x'"),
        ("processes=0", "--set processes: expected a whole number from 1, found 0"),
        ("a=[]", "the sweep is empty"),
        ("a=" + "[" * 5000 + "]" * 5000, "nested too deeply"),
        (
            "backend=[1.1, 1.10]",
            "'backend' holds texts; expected a list",
        ),
    ],
)
def test_set_what_cannot_be_set(tmp_path, setting, expected):
    with pytest.raises(UserError) as caught:
        expand(study_of(tmp_path, "[parameters]\na = 1\n", None, setting))
    assert expected in str(caught.value)


def test_every_study_of_the_project_expands_in_every_preset(request):
    folder = request.config.rootpath / "experiments"
    studies = [path for path in folder.glob("*.toml") if path.name != "simulation.toml"]  # no study
    assert len(studies) > 5
    for path in studies:
        presets = load_study(path).source.data["presets"]
        assert {"smoke", "laptop", "node", "paper"} <= set(presets)
        for preset in presets:
            assert expand(load_study(path, preset))
