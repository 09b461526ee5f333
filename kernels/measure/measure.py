"""Kernels on the roofline: their traffic found, their results checked, their calls timed.

Nothing here knows a kernel by name. Traffic is simulated first, so that it disturbs no timing; then
kernels come in random order, and the variants of a kernel in turns.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kernels.machines import core_roofs as shares
from kernels.machines.machine import HERE, Machine
from kernels.machines.roof import Roof
from kernels.measure import rows as roofline_rows
from kernels.measure import sweeps
from kernels.measure.sweeps import Item
from kernels.samples import Timed, time_variants, too_large
from kernels.table import Row, Value, utc_now
from kernels.traffic import counting
from kernels.traffic.cachesim import simulate as cachesim
from kernels.traffic.cachesim.callgrind import NoValgrindError
from kernels.traffic.cachesim.passes import adapted
from kernels.traffic.likwid.tools import NoCountersError
from kernels.traffic.traffic import SOURCES, Traffic, compulsory
from sparring.benchmark.machine import cpu_model
from sparring.errors import SparringError
from sparring.fused.machine import Isa

Tell = Callable[[str], None]


@dataclass
class Measurement:
    """One start of the command.

    Attributes:
        isa: of this machine's roofs.
        roofs: this machine's, by the number of threads.
        machines: others, on whose roofs kernels are placed without being timed.
        active: busy cores of each of them, by name; one core of this machine.
        sources: of bytes (`kernels.traffic.traffic.SOURCES`); without counters "likwid" is
            "cachesim".
        folder: of what was simulated.
        add: takes rows as soon as they are there.
        tell: takes a line about the progress.
        run: its name.
    """

    isa: Isa
    roofs: Mapping[int, Roof]
    machines: Sequence[Machine]
    active: Mapping[str, int]
    sources: frozenset[str]
    folder: Path
    add: Callable[[Sequence[Row]], None]
    tell: Tell
    run: str = field(default_factory=utc_now)

    def measure(
        self, items: Sequence[Item], *, repetitions: int, seconds: float, seed: int = 0
    ) -> list[Row]:
        """Measure everything; the rows also go to `add`.

        Args:
            items: what to measure.
            repetitions: of each variant.
            seconds: of a repetition, at least.
            seed: of the order.
        """
        wanted = [
            cachesim.Wanted(item.kernel.name, variant, item.case)
            for item in items
            for variant in item.simulated
            if not too_large(item.kernel, variant, item.case)
        ]
        counted = self._counted(wanted)
        others = [one for one in self.machines if one.name != HERE or not counted]
        with ThreadPoolExecutor(max(1, len(others))) as pool:
            found = pool.map(partial(self._simulated, wanted), others)
            simulated = dict(zip((one.name for one in others), found, strict=True))
        order, made = random.Random(seed), list[Row]()
        shuffled = order.sample(items, len(items))
        for number, item in enumerate(shuffled, 1):
            started = utc_now()
            timings = time_variants(
                item.kernel, list(item.variants), item.case, item.threads,
                repetitions=repetitions, seconds=seconds, order=order,
            )  # fmt: skip
            rows = [
                row
                for machine in self.machines
                for timed in timings
                for row in self._rows(
                    item, timed, machine, simulated.get(machine.name, {}), counted, started
                )
            ]
            self.add(rows)
            made += rows
            if number % 20 == 0 or number == len(shuffled):
                self.tell(f"{number} of {len(shuffled)} cases")
        return made

    def _counted(self, wanted: Sequence[cachesim.Wanted]) -> dict[cachesim.Wanted, list[Traffic]]:
        here = any(machine.name == HERE for machine in self.machines)
        if "likwid" not in self.sources or not wanted or not here:
            return {}
        try:
            return counting.count(wanted, self.tell)
        except NoCountersError as error:
            self.tell(str(error))
            return {}

    def _simulated(
        self, wanted: Sequence[cachesim.Wanted], machine: Machine
    ) -> dict[cachesim.Wanted, cachesim.Simulated]:
        if not {"cachesim", "likwid"} & self.sources or not wanted:
            return {}
        active = self.active[machine.name]
        for line in adapted(machine, active):
            self.tell(line)
        try:
            return cachesim.simulate(wanted, machine, active, self.folder, self.tell)
        except NoValgrindError as error:
            self.tell(f"{error}: compulsory bytes only")
            return {}

    def _rows(
        self,
        item: Item,
        timed: Timed,
        machine: Machine,
        simulated: Mapping[cachesim.Wanted, cachesim.Simulated],
        counted: Mapping[cachesim.Wanted, Sequence[Traffic]],
        started: str,
    ) -> list[dict[str, Value]]:
        nominal = item.kernel.flops(item.case)
        active = self.active[machine.name]
        common: dict[str, Value] = {
            "run": self.run, "kernel": item.kernel.name, "threads": item.threads,
            "active_cores": active, "started_at": started,
        }  # fmt: skip
        wanted = cachesim.Wanted(item.kernel.name, timed.variant, item.case)
        found = simulated.get(wanted) if item.threads == 1 else None
        if machine.name == HERE:
            roof = self.roofs[item.threads]
            common |= {
                "machine": cpu_model(), "isa": self.isa.name, "source": "measured",
                "active_cores": item.threads,
            }  # fmt: skip
            traffic = list(found.traffic) if found else []
            traffic += counted.get(wanted, []) if item.threads == 1 else []
            if timed.prepared and ("compulsory" in self.sources or not traffic):
                traffic += compulsory(timed.prepared.bytes, roof)
            return roofline_rows.rows(common, item.case, timed, nominal, traffic, roof)
        if timed.status != "ok" or timed.prepared is None or item.threads != 1:
            return []
        over = shares.of_core(machine, active)
        common |= {"machine": machine.name, "isa": machine.isa, "source": "simulated"}
        place = roofline_rows.placed_elsewhere
        rows = []
        if found:
            rows += place(
                common, item.case, timed.variant, found.flops, nominal, found.traffic, over
            )
        # Of what counts otherwise with other vectors, only what was simulated is known.
        if ("compulsory" in self.sources or not rows) and (timed.prepared.portable or found):
            flops = found.flops if found else timed.prepared.flops
            traffic = compulsory(timed.prepared.bytes, over)
            rows += place(common, item.case, timed.variant, flops, nominal, traffic, over)
        return rows


def checked_sources(names: Sequence[str]) -> frozenset[str]:
    """The sources of bytes that are meant; ``auto`` is all that there are here."""
    return frozenset(SOURCES if "auto" in names else names)


def planned(
    preset: sweeps.Preset, kernels: Sequence[str], variants: Sequence[str], everything: bool
) -> list[Item]:
    """What a preset measures.

    Args:
        preset: its sweeps.
        kernels: only those of these names; all if empty.
        variants: the same.
        everything: whether the caches are simulated in every case with one thread.

    Raises:
        SparringError: if nothing is left to measure.
    """
    found = list(sweeps.items(preset.sweeps, kernels, variants))
    if not found:
        raise SparringError(
            "no kernel has such a variant in these cases, or there are fewer cores than threads: "
            "nothing to measure"
        )
    if everything:
        found = [sweeps.simulating(item) for item in found]
    return found
