import pytest

from harness.errors import UserError
from plots.scaling import read
from plots.scaling.figure import draw
from plots.scaling.table import analyse
from plots.scaling.text import describe
from plots.shared.facets import split
from plots.shared.observations import select
from plots.shared.style import looks
from tests.plots.scaling_tables import BATCHES, OPTIMIZER, UPDATE, Table, amdahl, pipeline


def analysed(table, folder, kind="auto", **keywords):
    return analyse(select(table.write(folder), **keywords), kind)


def test_speedup_is_over_the_sequential_run_of_the_same_configuration(tmp_path):
    table = Table()
    for steps, f in ((32, 0.1), (15, 0.2)):
        table.training([2, 4], steps=steps, strategies={"data_parallel": amdahl(f)})
    analysis = analysed(table, tmp_path)
    assert [panel.facet.name for panel in analysis.panels] == [
        "15 adversary steps", "32 adversary steps",
    ]  # fmt: skip
    for panel, f in zip(analysis.panels, (0.2, 0.1), strict=True):
        found = {(p.cell.strategy, p.cell.cores): p.speedup for p in panel.points}
        assert found == pytest.approx({
            ("sequential", 1): 1.0, ("data_parallel", 2): 1 / amdahl(f)(2),
            ("data_parallel", 4): 1 / amdahl(f)(4),
        })  # fmt: skip
        fraction = panel.fits[0]
        assert fraction.estimates == pytest.approx((f,), abs=1e-9)


def test_amdahl_is_never_fitted_to_a_pipeline(tmp_path):
    table = Table().training([2, 4, 8, 16], strategies={"pipeline": pipeline()})
    fits = analysed(table, tmp_path).panels[0].fits
    assert [fit.estimates for fit in fits] == [()]
    assert fits[0].refusal == "not fitted: pipeline overlaps its serial part, see its bound"


def test_sharded_is_fitted_only_without_overlap(tmp_path):
    for overlap in (False, True):
        table = Table().training([2, 4, 8], strategies={"sharded": amdahl(0.1)}, overlap=overlap)
        fits = analysed(table, tmp_path / str(overlap)).panels[0].fits
        assert bool(fits[0].estimates) is not overlap


def test_sources_are_fitted_apart(tmp_path):
    table = Table().training([2, 4, 8], strategies={"data_parallel": amdahl(0.1)})
    for source, f in (("emulated", 0.3), ("oversubscribed", 0.5)):
        for p in (1, 2, 4, 8):
            name = "sequential" if p == 1 else "data_parallel"
            table.add(10 * amdahl(f)(p), processes=p, strategy=name, source=source,
                      adversary_steps=32, batch_size=64, updates=BATCHES, dataset="mnist-5k",
                      network="study", attack="ascent")  # fmt: skip
    (panel,) = analysed(table, tmp_path).panels
    found = {fit.source: fit for fit in panel.fits if fit.model.name == "amdahl"}
    assert found["measured"].estimates == pytest.approx((0.1,), abs=1e-9)
    assert found["emulated"].estimates == pytest.approx((0.3,), abs=1e-9)
    assert found["oversubscribed"].estimates == ()


def test_oversubscribed_points_refer_to_the_measured_baseline(tmp_path):
    table = Table().training([2], strategies={"pipeline": pipeline()})
    total = BATCHES * 0.355
    table.add(total / 1.5, processes=4, strategy="pipeline", source="oversubscribed",
              adversary_steps=32, batch_size=64, updates=BATCHES, dataset="mnist-5k",
              network="study", attack="ascent")  # fmt: skip
    (panel,) = analysed(table, tmp_path).panels
    assert panel.points[-1].speedup == pytest.approx(1.5)
    assert panel.notes == ("T₁ of oversubscribed points is a measured one",)


def test_a_workload_without_strategies_is_its_own_baseline(tmp_path):
    table = Table("sleep")
    for p in (1, 2, 4):
        table.add(3 * amdahl(0.25)(p), processes=p, workload="mine:Sleep")
    analysis = analysed(table, tmp_path)
    (panel,) = analysis.panels
    assert panel.fits[0].estimates == pytest.approx((0.25,), abs=1e-9)
    assert panel.notes == ("T₁ of mine:Sleep is its own run on 1 process",)
    assert (analysis.reference, analysis.is_training) == (None, False)


def test_a_parameter_that_follows_from_p_makes_no_panels(tmp_path):
    table = Table("sleep")
    for p in (1, 2, 4):
        table.add(3 / p, processes=p, share_ms=1000 // p)
    analysis = analysed(table, tmp_path)
    assert len(analysis.panels) == 1
    assert analysis.notes == (
        "settings that go with a strategy, and set no panels apart: share_ms",
    )


def test_an_empty_column_of_definitions_makes_no_weak_scaling(tmp_path):
    table = Table("strong_scaling.simulated")
    for p, limit in ((1, "generation"), (2, "update")):
        table.add(8.0 / p, processes=p, strategy="sequential" if p == 1 else "pipeline",
                  source="simulated", asked=False, definition="", size="",
                  limit=limit)  # fmt: skip
    (panel,) = analysed(table, tmp_path).panels
    assert [point.speedup for point in panel.points] == pytest.approx([1.0, 2.0])


def test_an_empty_cell_belongs_to_every_panel(tmp_path):
    table = Table("queue").add(8.0, processes=1, strategy="sequential")
    for depth in (1, 2):
        for p in (2, 4):
            table.add(8.0 / p, processes=p, strategy="pipeline", queue_depth=depth)
    facets, _ = split(select(table.write(tmp_path)), "strong")
    assert [facet.name for facet in facets] == ["queue depth 1", "queue depth 2"]
    assert all(len(facet.rows) == 12 + 24 for facet in facets)


def test_no_baseline(tmp_path):
    with pytest.raises(UserError, match="no baseline for a speed-up"):
        analysed(Table().add(1.0, processes=2, strategy="pipeline"), tmp_path)


def weak(processes=(1, 2, 4, 8)):
    table, s, g = Table("weak_scaling"), 0.2, 0.01
    for definition in ("slides", "report", "classical"):
        for p in processes:
            steps = {"slides": p, "report": p - 1, "classical": 8}[definition]
            batch = 64 * p if definition == "classical" else 64
            if steps == 0:
                continue
            shared = {"adversary_steps": steps, "batch_size": batch, "updates": BATCHES,
                      "definition": definition, "size": p}  # fmt: skip
            u = (UPDATE - OPTIMIZER) * batch / 64 + OPTIMIZER
            phases = (g * steps * batch / 64, u, OPTIMIZER)
            total = BATCHES * sum(phases[:2])
            table.add(total, processes=1, strategy="sequential", phases=phases, **shared)
            if p > 1:
                table.add(total / (p - s * (p - 1)), processes=p, strategy="data_parallel",
                          **shared)  # fmt: skip
    return table


def test_weak_scaling_recovers_gustafsons_fraction_in_each_definition(tmp_path):
    analysis = analysed(weak(), tmp_path)
    assert analysis.kind == "weak"
    assert [panel.facet.definition for panel in analysis.panels] == [
        "slides", "report", "classical",
    ]  # fmt: skip
    for panel in analysis.panels:
        assert panel.facet.configuration == ()
        law = panel.fits[0]
        assert (law.model.name, law.estimates) == ("gustafson", pytest.approx((0.2,), abs=1e-9))
        drawn = {(p.cell.strategy, p.cell.cores) for p in panel.drawn}
        assert ("data_parallel", 8) in drawn
        assert {p.cell.size for p in panel.drawn if p.cell.strategy == "sequential"} <= {1}


def test_weak_a_priori_curve_by_hand(tmp_path):
    slides = analysed(weak(), tmp_path).panels[0]
    (curve,) = slides.curves
    g, u, o = 0.01 * 32, UPDATE, OPTIMIZER
    assert curve.speedup[-1] == pytest.approx((g + u) / ((g + u - o) / 32 + o))


def test_weak_refuses_with_two_p(tmp_path):
    panel = analysed(weak((1, 2)), tmp_path).panels[0]
    assert [fit.refusal for fit in panel.fits] == ["too few p for a fit (2 distinct, 3 needed)"]


def test_weak_without_definitions_assumes_the_classical_one(tmp_path):
    table = Table("sleep")
    for p in (1, 2, 4):
        table.add(2.0 * p / (p - 0.1 * (p - 1)), processes=p)
    analysis = analysed(table, tmp_path, "weak")
    assert analysis.notes == ("classical weak scaling assumed: S = p T(1) / T(p)",)
    (panel,) = analysis.panels
    assert panel.points[-1].speedup == pytest.approx(4 - 0.1 * 3)
    assert panel.fits[0].estimates == pytest.approx((0.1,), abs=1e-9)


def test_weak_input_errors(tmp_path):
    table = Table("a").add(1.0, processes=1, definition="slides")
    with pytest.raises(UserError, match="expects a column 'size'"):
        analysed(table, tmp_path)
    table = Table("b").add(1.0, processes=1, definition="mine", size=1)
    with pytest.raises(UserError, match="definition 'mine' is unknown, expected one of slides"):
        analysed(table, tmp_path)
    with pytest.raises(UserError, match="no baseline"):
        analysed(Table("c").add(1.0, processes=2, definition="slides", size=2), tmp_path)


def test_reference_is_the_studys_own_speedup(tmp_path):
    table = Table().training([2], strategies={"pipeline": pipeline()})
    reference = analysed(table, tmp_path).reference
    assert reference.steps == 32
    assert dict(reference.points)[32] == pytest.approx(1238.8 / 50.9)


def test_a_variant_is_a_series_of_its_own_in_the_same_panel(tmp_path):
    table = Table("strategies")
    common = {"adversary_steps": 32, "updates": 20}
    table.add(8.0, strategy="sequential", variant="", send="synchronous", processes=1, **common)
    table.add(7.6, strategy="pipeline", variant="", send="synchronous", processes=2, **common)
    table.add(4.0, strategy="pipeline", variant="generating trainer", send="buffered",
              processes=2, **common)  # fmt: skip
    (panel,) = analysed(table, tmp_path).panels
    speedups = {point.cell.series: point.speedup for point in panel.points}
    assert speedups == pytest.approx(
        {"sequential": 1.0, "pipeline": 8.0 / 7.6, "generating trainer": 2.0}
    )


def test_many_series_look_different():
    names = ["sequential", "pipeline", "data_parallel", "sharded", *"abcdefghijklmnop"]
    assert len({(look.colour, look.marker) for look in looks(names).values()}) == len(names)


def rated(folder, **points):
    """Runs that do more work on more processes, in a time that says nothing."""
    table = Table("rates")
    for p, rate in ((1, 50.0), (2, 90.0), (4, 150.0)):
        table.add(10.0 + p, processes=p, jobs=100 * p, metrics={"jobs_per_second": rate})
    for point in table.points:
        point |= points
    return table.write(folder)


def test_throughput_is_compared_and_not_time(tmp_path):
    analysis = read(rated(tmp_path), metric="jobs_per_second")
    assert analysis.kind == "throughput"
    (panel,) = analysis.panels
    assert [point.speedup for point in panel.points] == pytest.approx([1.0, 1.8, 3.0])
    told = describe(analysis)
    assert "throughput scaling" in told
    assert "median [jobs_per_second]" in told
    assert "R_1 [jobs_per_second]" in told
    (row,) = [line.split() for line in told.splitlines() if "measured  4" in " ".join(line.split())
              or line.split()[1:3] == ["measured", "4"]][:1]  # fmt: skip
    assert "150" in row
    axes = draw(analysis).axes[0]
    assert axes.get_ylabel() == "jobs per second"
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels[:3] == ["50", "100", "200"]
    assert "R₁ = 50 jobs per second" in axes.get_title("left")


def test_the_study_s_own_metric_is_taken(tmp_path):
    asked = {"throughput_metric": "jobs_per_second"}
    assert read(rated(tmp_path, **asked)).metric == "jobs_per_second"
    assert read(rated(tmp_path, **asked), kind="strong").metric == ""


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"kind": "throughput"}, "with a rate"), ({"metric": "speed"}, "expects a column 'speed'")],
)
def test_throughput_needs_a_rate(tmp_path, options, expected):
    with pytest.raises(UserError, match=expected):
        read(rated(tmp_path), **options)
