"""Emulated points beside measured ones: one panel, two baselines, told apart."""

from __future__ import annotations

from functools import partial

import pytest

from plots.scaling.caption import caption, fit_words
from plots.scaling.figure import draw
from plots.scaling.legend import handles
from plots.scaling.table import analyse
from plots.scaling.text import describe
from plots.shared.files import as_svg
from plots.shared.observations import select
from plots.shared.style import looks
from tests.plots.scaling_tables import Table, amdahl


def analysis(folder, *, limited=(), baseline=True, **emulated):
    """Measured to p = 2 with f = 0, emulated to 32 with f = 0.1 and twice the time."""
    made = Table()
    made.training([1, 2], strategies={"data_parallel": amdahl(0.0)})
    slow = lambda p: 2 * amdahl(0.1)(p)  # noqa: E731
    shared = {"source": "emulated", "updates": 620, "calibration": "c.json", **emulated}
    other = Table()
    other.training([1, 2, 4, 8, 16, 32], strategies={"data_parallel": slow}, **shared)
    for row in other.rows:
        row["emulation_limited"] = row["processes"] in limited
        if row["strategy"] == "sequential":
            row["seconds"] = 2 * float(row["seconds"])
    keep = [r for r in other.rows if baseline or r["strategy"] != "sequential"]
    made.rows += [r for r in keep if baseline or r["processes"] > 1]
    made.points += other.points
    made.ranks += other.ranks
    return analyse(select(made.write(folder)))


def test_speedups_are_over_the_emulated_baseline_in_one_panel(tmp_path):
    (panel,) = analysis(tmp_path).panels
    found = {(p.cell.source, p.cell.processes): p for p in panel.points
             if p.cell.strategy == "data_parallel"}  # fmt: skip
    assert found["emulated", 32].speedup == pytest.approx(1 / amdahl(0.1)(32))
    assert found["emulated", 32].baseline.source == "emulated"
    assert found["measured", 2].speedup == pytest.approx(2)
    assert found["measured", 2].baseline.source == "measured"


def test_a_fit_is_of_one_source(tmp_path):
    (panel,) = analysis(tmp_path).panels
    fitted = {f.source: f for f in panel.fits if f.model.name == "amdahl"}
    assert fitted["emulated"].estimates[0] == pytest.approx(0.1, abs=1e-3)
    assert fitted["emulated"].observations == 36
    assert fitted["measured"].refusal.startswith("too few")
    assert "data parallel (emulated)" in fit_words(panel)


def test_without_an_emulated_baseline_emulated_points_are_left_out(tmp_path):
    (panel,) = analysis(tmp_path, baseline=False).panels
    assert {p.cell.source for p in panel.points} == {"measured"}
    assert any("(emulated) left out: no T₁" in note for note in panel.notes)


def test_legend_and_caption_tell_them_apart(tmp_path):
    found = analysis(tmp_path)
    drawn = [point.cell.series for panel in found.panels for point in panel.drawn]
    labels = [handle.get_label() for handle in handles(found, looks(drawn))]
    assert "emulated (real messages, computing replaced by sleeping)" in labels
    assert "measured" in labels
    assert not any("limited" in label for label in labels)
    assert "Updates: 620 (emulated), 40 (measured)" in caption(found)
    assert "Emulated with the calibration c.json" in caption(found)
    assert caption(found).endswith("Data parallel (measured): too few p for a fit "
                                   "(2 distinct, 3 needed).")  # fmt: skip


def test_flagged_points_are_crossed_out_and_told_of(tmp_path):
    plain, found = analysis(tmp_path / "a"), analysis(tmp_path / "b", limited=(16, 32))
    (panel,) = found.panels
    assert [p.cell.processes for p in panel.points if p.cell.limited] == [16, 32]
    assert "2 emulated points, crossed out, are limited by the emulation" in describe(found)
    drawn = [point.cell.series for point in panel.drawn]
    labels = [handle.get_label() for handle in handles(found, looks(drawn))]
    assert any("limited by the emulation" in label for label in labels)
    assert as_svg(partial(draw, found)) != as_svg(partial(draw, plain))


def test_no_law_is_fitted_to_flagged_points(tmp_path):
    (panel,) = analysis(tmp_path / "a", limited=(16, 32)).panels
    fitted = {f.source: f for f in panel.fits if f.model.name == "amdahl"}
    assert fitted["emulated"].observations == 24
    assert fitted["emulated"].extent == 8
    (panel,) = analysis(tmp_path / "b", limited=(1, 2, 4, 8, 16, 32)).panels
    assert not [f for f in panel.fits if f.source == "emulated"]


def test_another_problem_is_another_panel(tmp_path):
    found = analysis(tmp_path, batch_size=128)
    assert len(found.panels) == 2


def test_in_weak_scaling_the_length_may_go_by_size(tmp_path):
    """One panel a definition, although emulated runs are longer at a larger size."""
    made = Table("weak_scaling")
    for source, sizes in (("measured", (1, 2)), ("emulated", (1, 2, 4, 8))):
        for size in sizes:
            for strategy, processes in (("sequential", 1), ("data_parallel", size)):
                made.add(
                    10.0 * size / processes, processes=processes, strategy=strategy, size=size,
                    definition="classical", source=source, batch_size=64 * size,
                    adversary_steps=4, updates=40 if source == "measured" else 20 * size,
                )  # fmt: skip
    found = analyse(select(made.write(tmp_path)))
    assert [panel.facet.configuration for panel in found.panels] == [()]
    assert "updates: 20 to 160 by size (emulated), 40 (measured)" in describe(found)
