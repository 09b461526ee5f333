"""Tables of kernels and roofs, invented, with numbers that are easy to check by hand."""

from harness.tables.table import format_csv, text_of
from plots.roofline.roofs import CEILING_COLUMNS, MACHINE_COLUMNS
from plots.roofline.table import COLUMNS

HERE, THERE = "Thing 9", "twin"
KERNEL_COLUMNS = (*COLUMNS, "isa", "schema_version", "run", "repetition", "status")
#: FLOP per byte at each level, of simulated traffic.
TRAFFIC = {"L2": 2.0, "L3": 8.0, "DRAM": 32.0}


def ceilings():
    """One thread: 100 GFLOP/s; 400, 200, 80, 20 GB/s. Worse, older and AVX2 samples count not."""
    rates = {"L1": 400.0, "L2": 200.0, "L3": 80.0, "DRAM": 20.0}
    rows = [
        {"run": run, "machine": HERE, "threads": 1, "level": level, "kind": kind, "gflops": None,
         "gbytes_per_second": rate * part, "source": "measured"}
        for run, part in (("1", 3.0), ("2", 0.5), ("2", 1.0))
        for level, rate in rates.items()
        for kind in ("read", "triad_nontemporal")
    ]  # fmt: skip
    rows += [
        {"run": "2", "machine": HERE, "threads": 1, "level": "FMA", "kind": kind, "gflops": rate,
         "gbytes_per_second": None, "source": "measured"}
        for kind, rate in (("fma", 100.0), ("fma", 60.0), ("sgemm", 90.0))
    ]  # fmt: skip
    rows[-1]["gflops"] = 90.0
    other = [{**row, "run": "3", "isa": "avx2"} for row in rows]
    return [{"isa": "avx512", **row} for row in rows] + other


def machines():
    """Two cores of another machine: 200 GFLOP/s at base; 100 GB/s from L2 and L3, 10 from DRAM."""
    common = {"machine": THERE, "title": "Twin 2", "extent": "machine", "cores": 2,
              "source": "theoretical"}  # fmt: skip
    rows = []
    for clock, ghz in (("base", 2.0), ("turbo", 3.0)):
        for kind, part in (("fma", 1.0), ("no_fma", 0.5)):
            rows.append({**common, "clock": clock, "ghz": ghz, "level": "FMA", "kind": kind,
                         "gflops": 100 * ghz * part})  # fmt: skip
        for level, rate in (("L2", 100.0), ("L3", 100.0), ("DRAM", 10.0)):
            rows.append({**common, "clock": clock, "ghz": ghz, "level": level, "kind": "bandwidth",
                         "gbytes_per_second": rate})  # fmt: skip
    return rows


def kernels(names=("conv1_forward", "linear1_forward"), batches=(1, 16, 64), **other):
    """Measured here at 50 GFLOP/s (the variant `slow` at 25), and simulated there."""
    rows = []
    for name in names:
        for variant, speed in (("torch_nchw", 50.0), ("slow", 25.0)):
            for batch in batches:
                common = {
                    "schema_version": 1, "run": "2", "kernel": name, "variant": variant,
                    "batch_size": batch, "input_size": 28, "dtype": "float32", "threads": 1,
                    "flops": 1_000_000 * batch, "status": "ok",
                }  # fmt: skip
                traffic = [("compulsory", "DRAM", 40.0)]
                if batch == 64:
                    traffic += [("cachesim", level, value) for level, value in TRAFFIC.items()]
                for source, level, value in traffic:
                    size = common["flops"] / value
                    here = {"bytes_source": source, "level": level, "bytes": size}
                    for repetition, noise in enumerate((1.0, 1.1, 0.9)):
                        rows.append({
                            **common, **here, "machine": HERE, "isa": "avx512",
                            "source": "measured",
                            "seconds": common["flops"] / speed / 1e9 * noise,
                            "repetition": repetition,
                        })  # fmt: skip
                    rows.append({**common, **here, "machine": THERE, "isa": "avx2",
                                 "source": "simulated"})  # fmt: skip
    return [row | other for row in rows]


def predictions(gflops=60.0, **other):
    """One core of the other machine, of one variant at one batch; an older run counts not."""
    row = {
        "schema_version": 1, "run": "2", "kernel": "conv1_forward", "variant": "torch_nchw",
        "batch_size": 64, "input_size": 28, "machine": THERE, "active_cores": 2,
        "gflops": gflops, "status": "ok",
    }  # fmt: skip
    return [row | {"run": "1", "gflops": 1.0}, row | other, row | {"active_cores": 1, "run": "3"}]


def write_predictions(folder, rows):
    """Beside the other tables; the path."""
    texts = [{key: text_of(value) for key, value in row.items()} for row in rows]
    path = folder / "prediction.csv"
    path.write_text(format_csv(tuple(rows[0]), texts))
    return path


def write(folder, rows=None, with_roofs=True):
    """The three tables; the kernels' path."""
    tables = [("roofline", KERNEL_COLUMNS, kernels() if rows is None else rows)]
    if with_roofs:
        tables += [("ceilings", CEILING_COLUMNS, ceilings()),
                   ("machines", MACHINE_COLUMNS, machines())]  # fmt: skip
    for name, columns, lines in tables:
        texts = [{key: text_of(value) for key, value in line.items()} for line in lines]
        (folder / f"{name}.csv").write_text(format_csv(columns, texts))
    return folder / "roofline.csv"
