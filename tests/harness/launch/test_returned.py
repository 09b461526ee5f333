from __future__ import annotations

import numpy as np
import pytest

from harness.launch.returned import checked_details, checked_metrics, checked_report


def test_single_values_pass_and_numpy_s_become_python_s():
    given = {"a": np.float32(0.5), "b": np.int64(2), "c": np.True_, "d": "x", "e": None, 5: 1.5}
    metrics = checked_metrics("run()", given, ())
    assert metrics == {"a": 0.5, "b": 2, "c": True, "d": "x", "e": None, "5": 1.5}
    assert [type(value) for value in metrics.values()][:3] == [float, int, bool]
    assert checked_report(given) == metrics
    assert checked_details((given,)) == [metrics]


@pytest.mark.parametrize("nothing", [None, {}])
def test_nothing(nothing):
    assert checked_metrics("run()", nothing, ()) == {}
    assert checked_report(nothing) == {}
    assert checked_details(None) == checked_details([]) == []


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ([1], r"details\(\)\[0\] is 1; expected a dict of columns"),
        ([{}, None], r"details\(\)\[1\] is None; expected a dict of columns"),
        ({"a": 1}, r"details\(\) returned {'a': 1}; expected a list of dicts"),
        ("text", r"details\(\) returned 'text'; expected a list of dicts"),
        (3, r"details\(\) returned 3; expected a list of dicts"),
        ([{"a": [1]}], r"details\(\)\[0\] is a list as 'a'; expected a number, text or truth"),
        ([{"a": np.zeros(2)}], r"details\(\)\[0\] is a ndarray as 'a'; expected a number"),
    ],
)
def test_details_that_are_none(returned, told):
    with pytest.raises(TypeError, match=told):
        checked_details(returned)


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        (["z" * 999], r"rank_report\(\) returned \['z+ \.\.\.; expected a dict of columns"),
        ({"host": ()}, r"rank_report\(\) returned a tuple as 'host'; expected a number"),
    ],
)
def test_report_that_is_none(returned, told):
    with pytest.raises(TypeError, match=told):
        checked_report(returned)


def test_names_that_are_taken():
    with pytest.raises(ValueError, match=r"details\(\) has 'detail', the name of a column"):
        checked_details([{"detail": 1}])
    with pytest.raises(ValueError, match=r"rank_report\(\) has 'launch', the name of a column"):
        checked_report({"launch": 1})
    with pytest.raises(ValueError, match="metric 'seed' has the name of another column"):
        checked_metrics("run()", {"seed": 1}, ())
    with pytest.raises(ValueError, match="metric 'rate' has the name of another column"):
        checked_metrics("run()", {"rate": 1}, ("rate",))
