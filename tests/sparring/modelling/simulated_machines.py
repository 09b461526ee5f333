"""Machines of which one can compute by hand what a simulation must find."""

from __future__ import annotations

from sparring.modelling.calibration.calibration import Calibration


def seconds(median):
    return {"median": median}


def machine(
    step=1.0, gradients=2.0, apply=0.0, latency=0.0, per_byte=0.0, read=0.0, write=0.0, probe=0.0,
    cores=64, nodes=1, network=None, slowdown=(), samples=(), to_add=0.0, add=0.0, **changes,
):  # fmt: skip
    """64 images take ``step`` and ``gradients``; fewer take less in proportion.

    ``to_add`` and ``add`` are what 64 images' factors take, to write and to multiply.
    """

    def link(latency, per_byte):
        return {"messages": [
            {"bytes": 0, "seconds": seconds(latency)},
            {"bytes": 1000, "seconds": seconds(latency + 1000 * per_byte)},
            {"bytes": 10**9, "seconds": seconds(latency + 10**9 * per_byte)},
        ]}  # fmt: skip

    def work(size, share):
        drawn = [share * sample for sample in samples]
        return {
            "batch_size": size, "step": {"median": share * step, "samples": drawn},
            "gradients": seconds(share * gradients), "loss": seconds(0.0),
            "gradients_to_add": seconds(share * to_add), "add_gradients": seconds(share * add),
        }  # fmt: skip

    return Calibration.model_validate({
        "schema_version": 1, "name": "by hand", "source": "datasheet", "origin": "a test",
        "date": "2022-01-01", "backend": "none", "network": "none", "dtype": "float32",
        "nodes": nodes, "cores_per_node": cores,
        "work": [work(1, 1 / 64), work(64, 1.0), work(6400, 100.0)],
        "apply": seconds(apply), "read_weights": seconds(read), "write_weights": seconds(write),
        "weights_bytes": 4000, "gradient_bytes": 4000, "image_bytes": 40,
        "within": link(latency, per_byte),
        "between": link(*(network or (latency, per_byte))),
        "slowdown": [{"active_cores": n, "factor": f} for n, f in slowdown],
        "probe": seconds(probe), **changes,
    })  # fmt: skip
