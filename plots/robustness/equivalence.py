"""Is one way of training as good as another? Paired differences against a margin.

The unit is what was drawn independently: a training seed, not an image. Not to have found a
difference shows nothing; to show that a new way is no worse, one has to reject that it is worse by
the margin or more (Schuirmann, "A comparison of the two one-sided tests procedure and the power
approach", J. Pharmacokinetics and Biopharmaceutics 15, 1987; Piaggio and others, "Reporting of
Noninferiority and Equivalence Randomized Trials", JAMA 308, 2012).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: Fewer pairs give no verdict: their spread itself is unknown. With 6, a nonparametric 95 %
#: interval begins to exist (`harness.tables.statistics`).
FEWEST = 6

#: The search for a number of pairs ends here.
MOST = 10_000

NON_INFERIOR, EQUIVALENT = "non-inferior", "equivalent"
INFERIOR, NOT_SHOWN = "inferior", "not shown"


@dataclass(frozen=True)
class Comparison:
    """Paired differences, new minus old, and what they show.

    Attributes:
        n: pairs.
        mean, deviation: of the differences; the deviation is the sample's, NaN for one pair.
        low, high: confidence interval of the mean difference, two-sided with 1 - 2 alpha: the one
            that decides both one-sided tests. NaN for one pair.
        low_95, high_95: two-sided with 95 %, to be shown.
        p_inferior: of the hypothesis that the new way is worse by the margin or more.
        p_superior: of the hypothesis that it is better by the margin or more; both rejected is
            equivalence.
        effect: mean over deviation (Cohen's d of paired differences); NaN where there is no spread.
        needed: pairs that show non-inferiority with the power asked for, were the true difference
            0 and the spread as observed; None: more than `MOST`, or unknown.
        margin, alpha: of the tests.
    """

    n: int
    mean: float
    deviation: float
    low: float
    high: float
    low_95: float
    high_95: float
    p_inferior: float
    p_superior: float
    effect: float
    needed: int | None
    margin: float
    alpha: float

    @property
    def verdict(self) -> str:
        """``equivalent`` (which is also non-inferior), ``non-inferior``, ``inferior`` (shown to be
        worse by more than the margin), or ``not shown``.
        """  # noqa: D205
        if self.n < FEWEST:
            return NOT_SHOWN
        if self.p_inferior < self.alpha:
            return EQUIVALENT if self.p_superior < self.alpha else NON_INFERIOR
        return INFERIOR if self.high < -self.margin else NOT_SHOWN


def compare(
    differences: Sequence[float], margin: float, alpha: float = 0.05, power: float = 0.8
) -> Comparison:
    """Student's t on paired differences.

    Args:
        differences: new minus old, one for each pair; larger is better.
        margin: the largest loss that does not matter, above 0, in the unit of the differences.
        alpha: of each one-sided test.
        power: of `Comparison.needed`.

    Raises:
        ValueError: if there are no differences, or the margin is not above 0.
    """
    if not len(differences) or not margin > 0:
        raise ValueError("a comparison needs at least one difference and a margin above 0")
    values = np.asarray(differences, dtype=float)
    n, mean = len(values), float(values.mean())
    if n == 1:
        nan = math.nan
        return Comparison(1, mean, nan, nan, nan, nan, nan, nan, nan, nan, None, margin, alpha)
    deviation = float(values.std(ddof=1))
    if deviation < 1e-12 * max(1.0, abs(mean)):
        deviation = 0.0
    error = deviation / math.sqrt(n)

    def half(confidence: float) -> float:
        return float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error

    def p_above(distance: float) -> float:
        """P of a mean so far above the bound, were the truth at the bound."""
        if error == 0:
            return 0.0 if distance > 0 else 1.0
        return float(stats.t.sf(distance / error, n - 1))

    decisive, shown = half(1 - 2 * alpha), half(0.95)
    return Comparison(
        n, mean, deviation, mean - decisive, mean + decisive, mean - shown, mean + shown,
        p_above(mean + margin), p_above(margin - mean),
        mean / deviation if deviation else math.nan,
        pairs_needed(deviation, margin, alpha, power), margin, alpha,
    )  # fmt: skip


def pairs_needed(deviation: float, margin: float, alpha: float, power: float) -> int | None:
    """Pairs with which a one-sided t-test rejects inferiority with this power, at no difference.

    Exact, by the noncentral t distribution, here of paired differences (for trials: Julious,
    "Sample sizes for clinical trials with Normal data", Statistics in Medicine 23, 2004).

    Args:
        deviation: of the paired differences.
        margin: of the test.
        alpha: of the test.
        power: probability of showing it.
    """
    if deviation == 0:
        return FEWEST
    for n in range(FEWEST, MOST + 1):
        critical = stats.t.ppf(1 - alpha, n - 1)
        if stats.nct.sf(critical, n - 1, margin * math.sqrt(n) / deviation) >= power:
            return n
    return None
