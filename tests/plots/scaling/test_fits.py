import numpy as np
import pytest

from plots.scaling.coverage import covered
from plots.scaling.fits import above_best, fit_models
from plots.scaling.laws import AMDAHL, GUSTAFSON, STRONG_MODELS, WEAK_MODELS
from plots.scaling.text import parameters_in_words
from plots.shared.speedup import Cell, compare


def cells(law, processes, launches=6, source="measured", total=100.0, spread=0.0, size=None):
    random = np.random.default_rng(3)

    def one(p, seconds):
        values = seconds * np.exp(spread * random.normal(size=launches))
        rows = tuple(
            {"point": f"{p}{source}", "launch": str(i), "repetition": 0, "seconds": float(value)}
            for i, value in enumerate(values)
        )
        strategy = "sequential" if p == 1 else "data_parallel"
        return Cell(strategy, source, p, 1, size, rows)

    return one(1, total), [one(p, total * law(p)) for p in processes]


def points(law, processes, **keywords):
    base, others = cells(law, processes, **keywords)
    return [compare(cell, base) for cell in others]


def amdahl(f, c=0.0):
    return lambda p: f + (1 - f) / p + c * (p - 1)


def test_amdahl_fraction_is_recovered():
    fit, with_communication, ideal = fit_models(
        STRONG_MODELS, points(amdahl(0.07), [2, 4, 8, 16]), anchored=True
    )
    assert fit.estimates == pytest.approx((0.07,), abs=1e-9)
    assert fit.intervals[0] == pytest.approx((0.07, 0.07), abs=1e-9)
    assert fit.prediction_error == pytest.approx(0.0, abs=1e-9)
    assert (fit.largest_p, fit.distinct_p, fit.observations) == (16, 5, 24)
    assert with_communication.estimates == pytest.approx((0.07, 0.0), abs=1e-9)
    assert above_best([fit, with_communication, ideal])[fit] == 0.0
    # ideal predicts 100/16 s where 100 (0.07 + 0.93/16) s were measured
    assert ideal.prediction_error == pytest.approx(6.25 / 12.8125 - 1)


def test_communication_is_recovered_and_preferred():
    fits = fit_models(STRONG_MODELS, points(amdahl(0.02, 0.003), [2, 4, 8, 16]), anchored=True)
    assert fits[1].estimates == pytest.approx((0.02, 0.003), abs=1e-8)
    above = above_best(fits)
    assert above[fits[1]] == 0.0
    assert above[fits[0]] > 10


def test_gustafson_fraction_is_recovered():
    law = fit_models(WEAK_MODELS, points(lambda p: 1 / (p - 0.2 * (p - 1)), [2, 4, 8]), True)[0]
    assert law.model is GUSTAFSON
    assert law.estimates == pytest.approx((0.2,), abs=1e-9)
    assert law.speedups(np.array([16.0])) == pytest.approx(16 - 0.2 * 15)


def test_a_fraction_stays_a_fraction():
    slower = fit_models(STRONG_MODELS, points(lambda p: 1.5, [2, 4, 8]), True)[0]
    faster = fit_models(STRONG_MODELS, points(lambda p: 0.5 / p, [2, 4, 8]), True)[0]
    assert slower.estimates == pytest.approx((1.0,), abs=1e-9)
    assert faster.estimates == pytest.approx((0.0,), abs=1e-9)


def test_band_holds_the_fit_and_widens_with_noise():
    p = np.array([4.0, 32.0])
    quiet, loud = (
        fit_models(STRONG_MODELS, points(amdahl(0.05), [2, 4, 8], spread=s), True)[0]
        for s in (0.005, 0.05)
    )
    for fit in (quiet, loud):
        low, high = fit.band(p)
        assert (low <= fit.speedups(p)).all()
        assert (fit.speedups(p) <= high).all()
    widths = [np.subtract(*reversed(fit.band(p)))[1] for fit in (quiet, loud)]
    assert widths[1] > 3 * widths[0]


def test_few_launches_give_a_fit_without_a_band():
    fit = fit_models(STRONG_MODELS, points(amdahl(0.05), [2, 4, 8], launches=5), True)[0]
    assert fit.estimates == pytest.approx((0.05,), abs=1e-9)
    assert fit.intervals is None
    assert fit.band(np.array([2.0])) is None


@pytest.mark.parametrize(
    ("processes", "refusal"),
    [([2], "too few p for a fit (2 distinct, 3 needed)"), ([2, 4], None)],
)
def test_too_few_p(processes, refusal):
    law = fit_models(STRONG_MODELS, points(amdahl(0.1), processes), anchored=True)[0]
    assert law.refusal == refusal
    assert bool(law.estimates) == (refusal is None)


def test_an_alternative_with_more_parameters_needs_more_p():
    fits = fit_models(STRONG_MODELS, points(amdahl(0.1), [2, 4]), anchored=True)
    assert [fit.refusal for fit in fits] == [
        None, "too few p for a fit (3 distinct, 4 needed)", None,
    ]  # fmt: skip


def test_a_fit_never_mixes_sources():
    measured, emulated = points(amdahl(0.1), [2, 4]), points(amdahl(0.1), [8], source="emulated")
    with pytest.raises(ValueError, match="never mixes"):
        fit_models(STRONG_MODELS, measured + emulated, anchored=True)


def test_nor_does_it_take_its_anchor_from_another_source():
    base, _ = cells(amdahl(0.1), [])
    _, emulated = cells(amdahl(0.1), [2, 4, 8], source="emulated")
    law = fit_models(STRONG_MODELS, [compare(cell, base) for cell in emulated], anchored=True)
    assert [fit.refusal for fit in law] == ["no fit: T_1 is not emulated, and a fit never mixes "
                                            "sources"]  # fmt: skip


def test_oversubscribed_points_are_not_fitted():
    law = fit_models(STRONG_MODELS, points(amdahl(0.1), [2, 4, 8], source="oversubscribed"), True)
    assert [fit.refusal for fit in law] == ["no fit: oversubscribed points share cores"]


def test_aicc_by_hand():
    # ideal, two launches 10 % off at each p: residuals +-0.1 of the median, n = 4, k = 1
    base, _ = cells(lambda p: 1.0, [], launches=2)
    rows = {p: [90.0 / p, 110.0 / p] for p in (2, 4)}
    others = [
        Cell("data_parallel", "measured", p, 1, None, tuple(
            {"point": str(p), "launch": str(i), "seconds": s} for i, s in enumerate(values)))
        for p, values in rows.items()
    ]  # fmt: skip
    ideal = fit_models((STRONG_MODELS[2], AMDAHL), [compare(c, base) for c in others], True)[0]
    assert ideal.aicc == pytest.approx(4 * np.log(0.01) + 2 + 4 / 2)


def wandering(law, processes, rounds=8, spread=0.003):
    """Points of one host that doubles its pace from round to round, all of them together."""
    random = np.random.default_rng(11)
    slowness = 2.0 ** (np.arange(rounds) % 2)

    def one(p):
        values = 100 * law(p) * slowness * np.exp(spread * random.normal(size=rounds))
        rows = tuple(
            {"point": str(p), "launch": str(i), "repetition": 0, "seconds": float(value),
             "launch_round": f"r{i}"}
            for i, value in enumerate(values)
        )  # fmt: skip
        return Cell("sequential" if p == 1 else "data_parallel", "measured", p, 1, None, rows)

    base = one(1)
    return [compare(one(p), base) for p in processes]


def test_rounds_are_drawn_whole_so_that_what_they_share_is_no_error():
    fit = fit_models(STRONG_MODELS, wandering(amdahl(0.05), [2, 4, 8, 16]), True)[0]
    (low, high) = fit.intervals[0]
    assert low <= 0.05 <= high
    assert high - low < 0.003
    assert fit.prediction_error == pytest.approx(0.0, abs=0.02)


def test_universal_scalability_law_is_amdahl_with_communication():
    sigma, kappa = 0.03, 0.002

    def usl(p):
        return (1 + sigma * (p - 1) + kappa * p * (p - 1)) / p

    fits = fit_models(STRONG_MODELS, wandering(usl, [2, 4, 8, 16], spread=0.0), True)
    assert fits[1].model.name == "amdahl+communication"
    assert fits[1].estimates == pytest.approx((sigma, kappa), abs=1e-8)


def test_parameters_that_are_told_only_together_are_said_to_be():
    few = fit_models(STRONG_MODELS, wandering(amdahl(0.05, 0.01), [2, 3, 4], spread=0.02), True)[1]
    assert abs(few.correlation) > 0.9
    assert "told only together" in parameters_in_words(few)
    law = fit_models(STRONG_MODELS, wandering(amdahl(0.05), [2, 4, 8]), True)[0]
    assert law.correlation is None


def test_what_the_times_do_not_tell_is_not_fitted():
    loud = wandering(amdahl(0.2), [2, 4], rounds=6, spread=1.0)
    (fit,) = fit_models(STRONG_MODELS, loud, True)
    assert fit.refusal.startswith("no fit: the times leave f between ")
    assert fit.estimates == ()


def test_intervals_of_synthetic_studies_hold_the_truth():
    """Of 12; `python -m plots.scaling.coverage` counts 1,000."""
    found = list(covered(12, 12, 0.01, 0.05, seed=1, pairings=(True,)))
    assert [(told.model, told.parameter) for told in found] == [
        ("amdahl", "f"), ("amdahl+communication", "f"), ("amdahl+communication", "c"),
    ]  # fmt: skip
    assert min(told.share for told in found) >= 0.75
