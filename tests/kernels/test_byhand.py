"""Traffic derived by hand: the numbers themselves, and what is said of simulations."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from kernels.commands import cli
from kernels.machines.machine import load
from kernels.traffic import analytic as byhand
from kernels.traffic.analytic import Derived, derived, wanted
from kernels.traffic.cachesim import simulate as cachesim
from kernels.traffic.cachesim.passes import passes
from kernels.traffic.cachesim.simulate import Simulated
from kernels.traffic.traffic import Traffic

MIB = 2**20
RELU, BACKWARD, LINEAR = wanted()


def test_beyond_a_cache_that_does_not_hold_it():
    # 64 x 8000 numbers of 4 bytes: 2,048,000 an array.
    assert derived(RELU, 256 * 1024) == Derived(3 * 2_048_000, 3 * 2_048_000)
    assert derived(BACKWARD, 5 * MIB) == Derived(4 * 2_048_000, 4 * 2_048_000)
    # 8000 x 50 weights, 8000 inputs; these once or for each of 50 outputs.
    assert derived(LINEAR, 256 * 1024) == Derived(1_632_000, 3_200_000)


@pytest.mark.parametrize(("item", "extent"), [(RELU, 4_096_000), (BACKWARD, 6_144_000),
                                              (LINEAR, 1_632_000)])  # fmt: skip
def test_a_cache_that_holds_it_lets_nothing_through(item, extent):
    assert derived(item, extent) == Derived(0, 0)
    assert derived(item, extent - 1).low > 0


def simulating(monkeypatch, factors):
    """The command with invented simulations, so many times what was derived."""
    machine, calls = load("e5-2683v4"), iter(factors)

    def simulate(items, machine_, active, folder, tell):
        factor = next(calls)
        return {
            item: Simulated(0.0, tuple(
                Traffic(one.level, factor * derived(item, one.last.bytes).low, "cachesim")
                for one in passes(machine, active)
            )) for item in items
        }  # fmt: skip

    monkeypatch.setattr(cachesim, "simulate", simulate)
    return CliRunner().invoke(cli.main, ["cachesim", "--rounds", str(len(factors))])


def test_command_shows_what_agrees_and_how_far_rounds_differ(monkeypatch):
    result = simulating(monkeypatch, [1.0, 1.01])
    assert result.exit_code == 0, result.output
    assert "NO" not in result.stdout
    # The most is 8.192 MB, and 1 % of it lies between the rounds.
    assert "rounds differ by 0.0819 MB at most" in result.stdout


def test_command_fails_where_simulations_do_not_agree(monkeypatch):
    result = simulating(monkeypatch, [1.0, 1.2])
    assert result.exit_code == 2
    assert "relu_forward at L2: what was simulated is not what was derived" in result.stderr


def test_slack_is_small_beside_the_amounts():
    assert all(
        0.05 * derived(item, 256 * 1024).low > byhand.SLACK_BYTES for item in wanted()
    )  # fmt: skip
