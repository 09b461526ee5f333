"""Small expressions in studies: derived parameters, filters, and sweeps that fit the machine.

Evaluated by simpleeval: arithmetic, comparisons and conditionals over names; no attribute access,
no calls but those below.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

from simpleeval import (
    DEFAULT_OPERATORS,
    AssignmentAttempted,
    EvalWithCompoundTypes,
    InvalidExpression,
    MultipleExpressions,
)


def doubling(first: int, last: int) -> list[int]:
    """``first``, twice that, four times that ... and always ``last`` itself.

    >>> doubling(1, 6)
    [1, 2, 4, 6]

    Raises:
        ValueError: unless 1 <= first <= last.
    """
    if first < 1 or last < first:
        raise ValueError(f"doubling({first}, {last}) needs 1 <= first <= last")
    values = []
    while first < last:
        values.append(first)
        first *= 2
    return [*values, last]


FUNCTIONS = {
    "doubling": doubling,
    "range": lambda first, last: list(range(first, last)),
    "min": min,
    "max": max,
    "ceil": math.ceil,
    "floor": math.floor,
    "round": round,
}


def evaluate(expression: str, names: Mapping[str, Any]) -> Any:
    """The value of an expression.

    Raises:
        ValueError: with one sentence on what is wrong with it.
    """
    evaluator = EvalWithCompoundTypes(
        names=dict(names), functions=FUNCTIONS, operators=DEFAULT_OPERATORS
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # simpleeval would only warn of what it leaves out
            return evaluator.eval(expression)
    except AssignmentAttempted:
        reason = f"'{expression}' cannot be evaluated: '=' assigns; expected '==' to compare"
        raise ValueError(reason) from None
    except MultipleExpressions:
        reason = f"'{expression}' cannot be evaluated: expected one expression"
        raise ValueError(reason) from None
    except InvalidExpression as error:
        known = ", ".join(sorted(names))
        reason = f"'{expression}' cannot be evaluated: {error}; names are {known}"
        raise ValueError(reason) from None
    except (RecursionError, MemoryError):  # the parser's, and the evaluator's
        shown = expression if len(expression) <= 60 else f"{expression[:60]} ..."
        raise ValueError(f"'{shown}' cannot be evaluated: it is nested too deeply") from None
    except (SyntaxError, ArithmeticError, TypeError, ValueError, LookupError) as error:
        reason = str(getattr(error, "msg", None) or error)
        raise ValueError(f"'{expression}' cannot be evaluated: {reason}") from None
