import pytest

from plots.shared.speedup import Cell, compare, karp_flatt


def cell(seconds, processes=1, threads=1, strategy="sequential", repetitions=1):
    rows = tuple(
        {"point": "a", "launch": str(i), "repetition": r, "seconds": value + r}
        for i, value in enumerate(seconds)
        for r in range(repetitions)
    )
    return Cell(strategy, "measured", processes, threads, None, rows)


def test_karp_flatt_by_hand():
    # S = 8/3 on 4 cores: (3/8 - 2/8) / (3/4) = 1/6; ideal gives 0; no speed-up at all gives 1
    assert karp_flatt(8 / 3, 4) == pytest.approx(1 / 6)
    assert karp_flatt(4.0, 4) == pytest.approx(0.0)
    assert karp_flatt(1.0, 7) == pytest.approx(1.0)
    assert karp_flatt(1.0, 1) is None


def test_a_launch_counts_once_with_the_median_of_its_repetitions():
    assert cell([10.0, 20.0], repetitions=3).launches == (11.0, 21.0)


def test_efficiency_divides_by_cores():
    point = compare(cell([1.0] * 6, processes=2, threads=4, strategy="s"), cell([4.0] * 6))
    assert point.speedup == 4.0
    assert point.efficiency == 0.5


def test_interval_needs_six_launches_of_both():
    base, few = cell([10.0] * 6), cell([5.0] * 5, 2)
    assert compare(few, base).low is None
    assert compare(cell([5.0] * 6, 2), cell([10.0] * 5)).low is None
    assert compare(cell([5.0] * 6, 2), base).low == 2.0


def test_interval_holds_the_ratio_and_is_reproducible():
    base = cell([10.0, 10.2, 9.9, 10.1, 10.3, 9.8])
    fast = cell([5.0, 5.2, 4.9, 5.1, 5.3, 4.8], 2, strategy="s")
    first, second = compare(fast, base), compare(fast, base)
    assert first.low < first.speedup < first.high
    assert (first.low, first.high) == (second.low, second.high)


def test_the_baseline_is_one_by_definition():
    base = cell([10.0, 12.0, 11.0, 9.0, 10.0, 10.5])
    point = compare(base, base)
    assert (point.speedup, point.low, point.karp_flatt) == (1.0, None, None)


def in_rounds(seconds, slowness, processes=1):
    rows = tuple(
        {"point": "a", "launch": str(i), "repetition": 0, "seconds": seconds * slow,
         "launch_round": f"r{i}"}
        for i, slow in enumerate(slowness)
    )  # fmt: skip
    return Cell("s", "measured", processes, 1, None, rows)


def test_speedup_within_rounds_is_untouched_by_what_slows_the_host():
    slowness = [1.0, 1.4, 0.8, 1.9, 1.1, 0.9, 1.3]
    point = compare(in_rounds(5.0, slowness, 2), in_rounds(10.0, slowness), factor=2.0)
    assert point.pairs == 7
    assert (point.speedup, point.low, point.high) == pytest.approx((4.0, 4.0, 4.0))


def test_without_six_common_rounds_medians_are_compared():
    base = in_rounds(10.0, [1.0, 1.1, 0.9, 1.2, 1.0])
    assert compare(in_rounds(5.0, [1.0] * 6, 2), base).pairs == 0
    assert compare(cell([5.0] * 6, 2), in_rounds(10.0, [1.0] * 6)).pairs == 0
