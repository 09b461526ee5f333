"""Laws of scaling: how the time on p processes relates to the time on one.

* Amdahl, "Validity of the single processor approach", AFIPS 1967: T_p = T_1 (f + (1 - f) / p).
* Gustafson, "Reevaluating Amdahl's law", CACM 31(5), 1988: scaled S = p - s (p - 1).
* Gunther, "Guerrilla Capacity Planning", 2007, chapter 4, the Universal Scalability Law:
  S = p / (1 + sigma (p - 1) + kappa p (p - 1)). It is Amdahl's law with f = sigma and a
  communication term c (p - 1) with c = kappa: the model "amdahl+communication".
* Their simple alternatives: ideal scaling, a communication term that grows with p, a power of p.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from plots.shared.bootstrap import Floats


@dataclass(frozen=True)
class Model:
    """A law for T_p / T_1.

    Attributes:
        name: as in the fits table.
        parameter: symbol of the bounded parameter, or None.
        bounds: of that parameter.
        communication: whether a second parameter c >= 0 adds c (p - 1).
        ratio: T_p / T_1 without communication, from p and the parameter (arrays that broadcast).
    """

    name: str
    parameter: str | None
    bounds: tuple[float, float]
    communication: bool
    ratio: Callable[[Floats, Floats], Floats]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Symbols of all parameters."""
        return (*((self.parameter,) if self.parameter else ()), *("c" * self.communication))

    @property
    def needs(self) -> int:
        """Distinct p that a fit needs: parameters + 2."""
        return len(self.parameters) + 2

    def times(self, p: Floats, theta: Floats) -> Floats:
        """T_p / T_1 for each row of theta (draws x parameters): draws x p."""
        first = theta[:, :1] if self.parameter else np.zeros((len(theta), 1))
        ratio = self.ratio(p[None, :], first)
        return ratio + theta[:, -1:] * (p[None, :] - 1.0) if self.communication else ratio


AMDAHL = Model("amdahl", "f", (0.0, 1.0), False, lambda p, f: f + (1.0 - f) / p)
AMDAHL_COMMUNICATION = Model("amdahl+communication", "f", (0.0, 1.0), True, AMDAHL.ratio)
IDEAL_STRONG = Model("ideal", None, (0.0, 0.0), False, lambda p, _: 1.0 / p)
GUSTAFSON = Model(
    "gustafson", "s", (0.0, 1.0), False,
    lambda p, s: 1.0 / (p - s * (p - 1.0)),
)  # fmt: skip
POWER = Model("power", "a", (-1.0, 2.0), False, lambda p, a: p**-a)
IDEAL_WEAK = Model("ideal", None, (0.0, 0.0), False, IDEAL_STRONG.ratio)

STRONG_MODELS = (AMDAHL, AMDAHL_COMMUNICATION, IDEAL_STRONG)
WEAK_MODELS = (GUSTAFSON, POWER, IDEAL_WEAK)
