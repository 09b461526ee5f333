"""Operations and bytes of the engine's stages, against counts by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from kernels.counts.accounting import attack_step
from kernels.counts.dense_rows import Rows
from kernels.counts.kernel_overlap import rows_met
from kernels.counts.sparsity import Alive, alive, mean
from kernels.counts.work import ALL, Shape, objective
from sparring.fused.layouts import layouts
from sparring.fused.machine import machine_isa
from sparring.fused.network import Convolution, Dense, Network

STUDY = Network(
    (1, 28, 28), (), (),
    (Convolution(1, 28, 28, 10, 5, 0, True, False), Convolution(10, 24, 24, 20, 5, 0, True, False)),
    (Dense(8000, 50, True), Dense(50, 10, False)),
)  # fmt: skip
MADRY = Network(
    (1, 28, 28), (0.1,), (0.3,),
    (Convolution(1, 28, 28, 32, 5, 2, True, True), Convolution(32, 14, 14, 64, 5, 2, True, True)),
    (Dense(3136, 1024, True), Dense(1024, 10, False)),
)  # fmt: skip
WIDE, NARROW = Shape("wide", 16, 16), Shape("wide", 4, 4)
TILE, SEVERAL = Shape("tile", 8, 1), Shape("tile", 8, 8)


def works(network, shape, images, alive=None, steps=10):
    outputs = [dense.outputs for dense in network.dense] if alive is None else alive
    matters = [
        Alive(own, dense.inputs, dense.inputs)
        for own, dense in zip(outputs, network.dense, strict=True)
    ]
    found = attack_step(network, shape, images, steps, matters)
    keyed = {(work.layer, work.direction, work.kind): work for work in found}
    assert len(keyed) == len(found)
    return keyed


@pytest.fixture(scope="module")
def study():
    return works(STUDY, WIDE, 16)


def test_direct_products_of_the_study(study):
    assert study[1, "forward", "multiply"].flops == 16 * 2 * 24 * 24 * 10 * 25 == 16 * 288_000
    # Every row of 28 pixels takes 5 rows of the gradient; the 24 of them are taken 5 times each.
    assert study[1, "backward", "multiply"].flops == 16 * 2 * 24 * 5 * 28 * 5 * 10


def test_winograd_products_of_the_study(study):
    for direction in ("forward", "backward"):
        assert study[2, direction, "multiply"].flops == 16 * 25 * 64 * 200 * 2 == 16 * 640_000


def test_winograd_transforms_of_the_study(study):
    # 24 rows of 5 tiles along x and 5 rows of 8 frequencies along y, of 10 channels; back along y
    # and for 20 rows along x, of 20 channels; the biases.
    forward = (24 + 40) * 5 * 10 * 38 + (40 + 20) * 5 * 20 * 22 + 8000
    assert study[2, "forward", "transform"].flops == 16 * forward
    backward = (20 + 40) * 5 * 20 * 18 + (40 + 24) * 5 * 10 * (39 + 4)
    assert study[2, "backward", "transform"].flops == 16 * backward


def test_dense_layers_of_the_study(study):
    assert study[3, "forward", "multiply"].flops == 16 * 800_000
    assert study[3, "backward", "multiply"].flops == 16 * 800_000
    assert study[4, "forward", "multiply"].flops == 16 * 1000


def test_weights_of_dense_layers_come_once_for_blocks_that_go_together():
    isa = machine_isa()
    wide = layouts(isa)[0]
    shapes = {n: Shape.of(wide, isa, MADRY, n, 1) for n in (1, 64, 80)}
    assert [shape.together for shape in shapes.values()] == [
        isa.lanes, 64, -(-(80 // isa.lanes) // 2) * isa.lanes,
    ]  # fmt: skip
    assert Shape.of(wide, isa, MADRY, 64, 2).together == 32
    assert Shape.of(wide, isa, STUDY, 64, 1).together == isa.lanes
    many = replace(WIDE, blocks=4)
    one, found = works(STUDY, WIDE, 64), works(STUDY, many, 64)
    for direction in ("forward", "backward"):
        each, stage = one[3, direction, "multiply"], found[3, direction, "multiply"]
        assert each.flops == stage.flops
        assert each.bytes - stage.bytes == 3 * 400_000 * 4
    assert stage.working_set == 400_000 * 4 + 4 * (8000 + 50) * 64
    assert one[-1, ALL, ALL].bytes - found[-1, ALL, ALL].bytes == 3 * (400_000 + 500) * 4


def test_dead_outputs_cost_no_operations_but_their_weights_come_by():
    works_of_dead = works(STUDY, WIDE, 16, alive=[20, 10])
    found = works_of_dead[3, "backward", "multiply"]
    assert found.flops == 16 * 2 * 8000 * 20
    assert found.bytes == 4 * 400_000 + (8000 + 20) * 64
    assert works_of_dead[3, "forward", "multiply"].flops == 16 * 800_000


def test_nominal_operations_of_the_study(study):
    for direction in ("forward", "backward"):
        nominal = [study[layer, direction, ALL].flops_nominal for layer in (1, 2, 3, 4)]
        assert nominal == [16 * 288_000, 16 * 4_000_000, 16 * 800_000, 16 * 1000]
    assert study[2, "forward", "multiply"].flops_nominal is None


def test_bytes_of_the_study(study):
    vec = 16 * 4
    assert study[1, "forward", "multiply"].bytes == (784 + 5760) * vec + 250 * 4
    assert study[2, "forward", "multiply"].bytes == 25 * 64 * (10 + 20) * vec + 64 * 200 * 4
    assert study[2, "forward", ALL].bytes == (5760 + 8000) * vec + 8000 * 2 + 64 * 200 * 4
    assert study[3, "forward", "multiply"].bytes == 400_000 * 4 + (8000 + 50) * vec
    assert study[3, "forward", "multiply"].working_set == 400_000 * 4 + (400 + 50) * vec
    # Reads 5760 vectors and a bit for each of 16 lanes, writes the vectors; copies 784.
    assert study[1, "backward", "other"].bytes == 2 * 5760 * vec + 5760 * 2 + 2 * 784 * vec
    packed = 2 * 250 + 2 * 64 * 200 + 400_000 + 500
    assert study[-1, ALL, ALL].bytes == 3 * 784 * vec + 4 * packed


def test_step_of_the_study(study):
    assert objective(10) == 54
    assert study[0, "forward", "other"].flops == 16 * (6 * 784 + 54)
    numbers = 6 * 784 + 20 + 6 * 784 / 10
    assert study[0, "forward", "other"].bytes == pytest.approx(64 * numbers)


@pytest.mark.parametrize("network", [STUDY, MADRY])
@pytest.mark.parametrize("shape", [WIDE, NARROW, TILE, SEVERAL])
def test_stages_add_up(network, shape):
    found = works(network, shape, 33)
    stages = [work for work in found.values() if work.kind != ALL]
    layers = [work for work in found.values() if work.kind == ALL and work.direction != ALL]
    step = found[-1, ALL, ALL]
    assert step.flops == sum(work.flops for work in stages) == sum(work.flops for work in layers)
    assert step.flops_nominal == pytest.approx(sum(work.flops_nominal for work in layers))
    for whole in layers:
        own = [w for w in stages if (w.layer, w.direction) == (whole.layer, whole.direction)]
        assert whole.flops == sum(work.flops for work in own)
        assert whole.bytes <= sum(work.bytes for work in own)


def test_lanes_without_an_image_are_executed_and_not_nominal():
    one, full = works(STUDY, WIDE, 17), works(STUDY, WIDE, 32)
    assert one[3, "forward", ALL].flops == full[3, "forward", ALL].flops
    assert one[3, "forward", ALL].flops_nominal == pytest.approx(17 * 800_000)


def test_padding_rows_are_left_out_and_padding_columns_are_not():
    first = works(MADRY, WIDE, 16)[1, "forward", "multiply"]
    # Of 28 rows with 5 input rows each, the first and last two lack 2 + 1 of them.
    assert rows_met(28, 28, 5, 2) == 28 * 5 - 2 * (2 + 1)
    assert first.flops == 16 * 2 * 134 * 5 * 28 * 32


def test_tiles_of_the_study():
    found = works(STUDY, TILE, 3)
    # 5 x 5 tiles fill 25 of 32 lanes.
    for direction in ("forward", "backward"):
        assert found[2, direction, "multiply"].flops == 3 * 32 * 64 * 200 * 2
    # Rows of 24 pixels are whole vectors; of 28, backward, they are not.
    assert found[1, "forward", "multiply"].flops == 3 * 2 * 24 * 24 * 10 * 25
    assert found[1, "backward", "multiply"].flops == 3 * 2 * 28 * 32 * 10 * 25
    # Four rows of each tile reach into the next: 30 places of each row in its tile, in 4 vectors.
    forward = 10 * (4 * 32 + 8 * 32) * 38 + 20 * 32 * (8 * 22 + 4 * (22 + 4))
    assert found[2, "forward", "transform"].flops == 3 * forward
    assert found[2, "forward", ALL].bytes == 3 * 4 * (5760 + 20 * 16 * 32 + 20 * 16 * 4 / 4 + 12800)


def test_tiles_walk_over_inputs_that_are_not_zero():
    alive = [Alive(50, 1000, 900), Alive(10, 48, 40)]
    found = {(w.layer, w.direction, w.kind): w for w in attack_step(STUDY, TILE, 1, 10, alive)}
    # 48 outputs in 6 vectors and a tail of 2, in 4 lanes; two sums of each.
    assert found[3, "forward", "multiply"].flops == 2 * 1000 * 52 + 52
    assert found[3, "forward", "multiply"].bytes == 4 * (2 * 1000 + 900 * 50 + 50)
    # The sum of 8 lanes of each input; the tail's product and its addition.
    assert found[3, "backward", "multiply"].flops == 1000 * (11 * 8 + 7 + 4 + 8)
    # 10 outputs fill 16: two vectors, four sums of each.
    assert found[4, "forward", "multiply"].flops == 2 * 48 * 16 + 3 * 16


def test_rows_come_once_for_all_images_of_a_block():
    alive = [Alive(50, 1000, 3000), Alive(10, 48, 50)]
    found = {(w.layer, w.direction, w.kind): w for w in attack_step(STUDY, SEVERAL, 9, 10, alive)}
    # Two blocks, of 8 and 1; in the first the images walk over 11 regions in turns.
    weights = 2 * 3000 * 50
    assert found[3, "forward", "multiply"].bytes == 4 * (9 * (2000 + 50) + weights)
    assert found[3, "forward", "multiply"].flops == pytest.approx(
        9 * 2 * 1000 * 52 + (8 * 11 + 1) * 52
    )
    assert Shape.of(layouts(machine_isa())[1], machine_isa(), STUDY, 9, 1).block == 8
    assert Shape.of(layouts(machine_isa())[1], machine_isa(), STUDY, 9, 4).block == 3


def test_panels_and_tails_of_rows():
    assert Rows.of(Dense(8, 50, True), 16) == Rows((48,), 2)
    assert Rows.of(Dense(8, 51, True), 16) == Rows((48,), 4)
    assert Rows.of(Dense(8, 10, True), 16) == Rows((16,), 0)
    assert Rows.of(Dense(8, 150, True), 16) == Rows((64, 64, 32), 0)
    assert Rows.of(Dense(8, 150, True), 32) == Rows((80, 80), 0)


def test_normalisation_counts():
    plain = Network(MADRY.shape, (), (), MADRY.convolutions, MADRY.dense)
    more = works(MADRY, WIDE, 16)[-1, ALL, ALL].flops - works(plain, WIDE, 16)[-1, ALL, ALL].flops
    assert more == 16 * 3 * 784


def test_what_is_alive():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 2))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[1.0, 0], [0, 1], [-1, -1]]))
        model[1].bias.zero_()
        model[3].weight.copy_(torch.tensor([[1.0, 2, 3], [5, 7, 11]]))
    images = torch.tensor([[1.0, 0], [0, 1], [1, 0]]).reshape(3, 1, 1, 2)
    labels = torch.zeros(3, dtype=torch.int64)
    weights = [model[1].weight, model[1].bias, model[3].weight, model[3].bias]
    network = Network((1, 1, 2), (), (), (), (Dense(2, 3, True), Dense(3, 2, False)))
    found = {
        block: alive(model, network, weights, images, labels, Shape("tile", 4, block))
        for block in (1, 2)
    }
    # Pixels are listed whatever they are; of the hidden units each image has one.
    assert found[1] == [Alive(1, 4, 2), Alive(2, 4, 1)]
    assert found[2] == [Alive(1.5, 4, 2), Alive(2, 4, 1.5)]
    assert mean([found[1], found[2]]) == [Alive(1.25, 4, 2), Alive(2, 4, 1.25)]
