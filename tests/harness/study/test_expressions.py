from __future__ import annotations

import pytest

from harness.study.expressions import doubling, evaluate


def test_arithmetic_conditionals_and_lists():
    names = {"processes": 4, "strategy": "pipeline"}
    assert evaluate("processes * 2", names) == 8
    assert evaluate("1 if strategy == 'sequential' else processes", names) == 4
    assert evaluate("[1, processes]", names) == [1, 4]
    assert evaluate("doubling(1, min(processes, 3))", names) == [1, 2, 3]


@pytest.mark.parametrize(
    ("last", "values"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_doubling_always_ends_with_the_last(last, values):
    assert doubling(1, last) == values


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("processes = 2", "'=' assigns; expected '==' to compare"),
        ("1; 2", "expected one expression"),
        ("processes +", "invalid syntax"),
        ("", "empty"),
        ("nope", "'nope' is not defined"),
        ("__import__('os')", "Function '__import__' not defined"),
        ("().__class__", "__class__"),
        ("1 / 0", "division by zero"),
        ("9 ** 9 ** 9", "evaluate"),
        ("doubling(4, 2)", "needs 1 <= first <= last"),
        ("min()", "min"),
        ("-" * 5000 + "1", "it is nested too deeply"),
        ("not " * 900 + "1", "it is nested too deeply"),
    ],
)
def test_what_cannot_be_evaluated_is_a_sentence(expression, reason):
    with pytest.raises(ValueError, match="cannot be evaluated") as caught:
        evaluate(expression, {"processes": 4})
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
