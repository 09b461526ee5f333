"""The roofline from tables to figure."""

import itertools

import pytest

from harness.errors import InputError, UserError
from plots.cli import main
from plots.report.page import page
from plots.roofline import PLOT
from plots.roofline import claims as roofline_claims
from plots.roofline import roofs as roofline_roofs
from plots.roofline.figure import caption, draw
from plots.roofline.labels import Box, Label, place
from plots.roofline.panel import crowds
from plots.roofline.table import analyse
from plots.roofline.text import describe, markdown
from plots.shared.style import WIDTHS
from tests.plots.roofline_tables import (
    HERE,
    THERE,
    kernels,
    predictions,
    write,
    write_predictions,
)


def study_of(path, **keywords):
    return analyse(path, roofline_roofs.load(path), **keywords)


def shown(panel, kernel="conv1_forward", variant="torch_nchw"):
    return panel.shown(panel.of(kernel, variant))


def test_roofs_are_the_best_samples_of_the_latest_run(tmp_path):
    roofs = roofline_roofs.load(write(tmp_path))[HERE, 1]
    assert (roofs.peak, roofs.others) == (100.0, {"NumPy's sgemm": 90.0})
    assert roofs.bandwidth == {"L1": 400.0, "L2": 200.0, "L3": 80.0, "DRAM": 20.0}


def test_theoretical_roofs_name_their_clocks(tmp_path):
    roofs = roofline_roofs.load(write(tmp_path))[THERE, 2]
    assert (roofs.peak, roofs.peak_name) == (200.0, "FMA peak at 2 GHz (base)")
    assert roofs.others == {
        "without FMA at 2 GHz (base)": 100.0,
        "FMA peak at 3 GHz (turbo)": 300.0,
    }


def test_measured_point_stands_where_it_was_measured(tmp_path):
    panel = study_of(write(tmp_path)).panels[0]
    point = shown(panel)
    assert (panel.machine, point.bytes_source, point.point.batch_size) == (HERE, "cachesim", 64)
    # The least of 2 x 200, 8 x 80, 32 x 20 and 100.
    assert (point.bound, point.limit) == (pytest.approx(100.0), "FMA")
    assert point.gflops == pytest.approx(50.0)  # the median repetition
    assert point.percent == pytest.approx(50.0)


def test_elsewhere_a_point_is_a_bound_and_never_a_measurement(tmp_path):
    panel = study_of(write(tmp_path)).panels[1]
    point = shown(panel)
    assert (panel.machine, panel.measured, panel.roofs.cores) == (THERE, False, 2)
    # 2 x 100, and the peak is no less.
    assert (point.bound, point.limit) == (pytest.approx(200.0), "L2")
    assert point.gflops == point.bound
    assert point.percent is None


def test_a_prediction_stands_beside_the_bound_for_all_cores(tmp_path):
    path = write(tmp_path)
    write_predictions(tmp_path, predictions())
    study = PLOT.read(path).study
    here, there = study.panels
    point = shown(there)
    assert there.prediction(point.point) == pytest.approx(2 * 60)
    assert there.prediction(shown(there, "linear1_forward").point) is None
    assert not here.predicted
    assert "| conv1_forward | torch_nchw | 64 | ~- / 2 / 8 / 32 | 200 | L2 | 120 | 60 % |" in (
        markdown(study)
    )
    assert ("conv1_forward", "torch_nchw") in study.entries()


def test_what_is_not_predicted_stays_a_bound(tmp_path):
    path = write(tmp_path)
    write_predictions(tmp_path, predictions(gflops=None, status="not predicted")[1:2])
    assert not PLOT.read(path).study.panels[1].predicted
    with pytest.raises(InputError, match="python -m kernels predict"):
        PLOT.read(path, predictions=tmp_path / "none.csv")


@pytest.mark.parametrize("width", ["one", "two"])
def test_kernels_are_numbers_that_the_table_names(tmp_path, width):
    study = PLOT.read(write(tmp_path)).study
    figure = draw(study, (), {}, width=WIDTHS[width])
    words = [text.get_text() for text in figure.texts]
    assert {"1", "conv1 fwd, PyTorch", "2", "linear1 fwd, PyTorch"} <= set(words)
    assert "50 %, peak" in words  # here
    assert "200, L2" in words  # there, where nothing is known but the bound
    assert figure.get_figwidth() == WIDTHS[width]
    on_axis = [text.get_text() for text in figure.axes[0].texts]
    assert {"1", "2"} <= set(on_axis)
    assert not any("conv1" in word for word in on_axis)


def test_one_kernel_s_path_over_batch_sizes_is_drawn(tmp_path):
    path = write(tmp_path)
    figure = draw(PLOT.read(path).study, (), {}, path="conv1_forward")
    assert "batch 1" in [text.get_text() for text in figure.axes[0].texts]
    with pytest.raises(UserError, match="no kernel 'strange'; it has conv1_forward"):
        PLOT.read(path, path_of="strange")


def test_the_node_itself_fills_the_same_panel_with_measurements(tmp_path):
    rows = kernels()
    for row in rows:
        row["machine"] = HERE
    [panel] = study_of(write(tmp_path, [row for row in rows if row["source"] == "measured"])).panels
    assert shown(panel).measured


def test_counted_bytes_are_trusted_most(tmp_path):
    rows = kernels()
    counted = [r | {"bytes_source": "likwid", "bytes": 2 * r["flops"]} for r in rows
               if r["bytes_source"] == "cachesim" and r["level"] == "DRAM"]  # fmt: skip
    point = shown(study_of(write(tmp_path, rows + counted)).panels[0])
    assert (point.bytes_source, point.limit) == ("likwid", "DRAM")
    assert point.bound == pytest.approx(10.0)


def test_fastest_variant_is_drawn_unless_others_are_asked_for(tmp_path):
    study = study_of(write(tmp_path))
    assert set(study.chosen().values()) == {"torch_nchw"}
    assert set(study.chosen(["slow"]).values()) == {"slow"}
    with pytest.raises(UserError, match="no variant 'quick'; it has slow, torch_nchw"):
        study.chosen(["quick"])


def test_latest_run_counts(tmp_path):
    older = [
        row | {"run": "1", "seconds": 1e-9} for row in kernels() if row["source"] == "measured"
    ]
    assert shown(study_of(write(tmp_path, older + kernels())).panels[0]).gflops < 60


def test_failures_are_left_out(tmp_path):
    rows = kernels() + kernels(["broken"], status="failed")
    assert study_of(write(tmp_path, rows)).kernels == ["conv1_forward", "linear1_forward"]


def test_kernels_without_operations_are_bounded_by_their_bytes_and_not_drawn(tmp_path):
    """4 MB at 20 GB/s take 0.2 ms at least, and 20 ms were taken."""
    rows = kernels() + kernels(["relu_forward"], flops=0, bytes=4e6, seconds=0.02)
    study = study_of(write(tmp_path, rows))
    point = shown(study.panels[0], "relu_forward")
    assert (point.limit, point.gflops, point.intensities["DRAM"]) == ("DRAM", 0.0, 0.0)
    assert point.percent == pytest.approx(1.0)
    assert set(study.computing()) == {"conv1_forward", "linear1_forward"}
    text = markdown(study)
    assert "| relu_forward | torch_nchw | 64 | ~- / - / - / - | - | DRAM | - | 1 % |" in text
    assert "relu fwd only moves numbers, so it is not drawn" in caption(study, (), {})


def test_machine_without_roofs_is_named(tmp_path):
    path = write(tmp_path)
    (tmp_path / "machines.csv").unlink()
    assert any(f"no roofs of {THERE}" in note for note in study_of(path).notes)
    with pytest.raises(UserError, match="no kernel can be placed: no roofs of Thing 9"):
        analyse(path, {})


@pytest.mark.parametrize(
    ("keywords", "said"),
    [({"threads": 4}, "has input sizes 28 and 1 threads"), ({"input_size": 9}, "input size 9")],
)
def test_absent_configuration_lists_those_that_exist(tmp_path, keywords, said):
    with pytest.raises(UserError, match=said):
        study_of(write(tmp_path), **keywords)


def test_text_where_a_number_belongs_is_named(tmp_path):
    with pytest.raises(InputError, match="'bytes' holds 'much'"):
        study_of(write(tmp_path, kernels(bytes="much")))


def test_table_for_a_document_marks_where_bytes_come_from(tmp_path):
    text = markdown(study_of(write(tmp_path)))
    assert "| conv1_forward | torch_nchw | 64 | ~- / 2 / 8 / 32 | 100 | peak | 50 | 50 % |" in text
    assert "| kernel | 1 | 16 | 64 |" in text
    assert "| conv1_forward | >peak 50 % | >peak 50 % | ~peak 50 % |" in text
    assert "bounds; nothing was measured there" in text
    assert "| conv1_forward | >peak | >peak | ~L2 |" in text


def test_claims_of_the_original_study(tmp_path):
    study = study_of(write(tmp_path))
    claims = roofline_claims.load(study.path)
    assert claims == {"conv1": 0.489, "linear1": 0.24, "forward": 0.251, "backward": 0.501}
    assert "conv1_forward" in describe(study)


def test_command_draws_prints_and_refuses(tmp_path, capsys):
    path = write(tmp_path)
    assert main(["roofline", str(path)]) == 0
    assert f"wrote {tmp_path / 'figures' / 'roofline.svg'}" in capsys.readouterr().out
    assert main(["roofline", str(path), "--table", "--variant", "slow"]) == 0
    assert capsys.readouterr().out.startswith("**Thing 9, 1 core, measured")
    assert main(["roofline", str(path), "--ceilings", str(tmp_path / "none.csv")]) == 2
    assert "python -m kernels ceilings` writes it" in capsys.readouterr().err
    assert main(["roofline", str(tmp_path / "ceilings.csv")]) == 2
    assert "lacks the column 'kernel'" in capsys.readouterr().err


def test_report_draws_it(tmp_path):
    write(tmp_path)
    html, skipped = page(tmp_path)
    assert not skipped
    assert 'id="roofline"' in html
    assert html.count("<figure>") == 1


def test_roofs_too_near_for_names_between_them_are_named_together():
    bandwidth = {"L1": 6451.0, "L2": 4301.0, "L3": 500.0, "DRAM": 400.0}
    together = [[level for level, _ in crowd] for crowd in crowds(bandwidth, apart=5.0)]
    assert together == [["L1", "L2"], ["L3"], ["DRAM"]]  # the markers' roof has its own
    assert len(crowds(bandwidth, apart=100.0)) == 4


def test_labels_overlap_neither_each_other_nor_obstacles():
    labels = [Label(50.0 + i, 50.0, 30.0, 8.0) for i in range(8)]
    obstacle = Box(40, 40, 70, 60)
    area = Box(0, 0, 200, 200)
    boxes = place(labels, area, [obstacle])
    assert all(area.holds(box) for box in boxes)
    assert all(a.overlap(b) == 0 for a, b in itertools.combinations([*boxes, obstacle], 2))
