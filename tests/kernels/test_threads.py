"""PyTorch's threads, set for a while."""

from __future__ import annotations

import pytest
import torch

from kernels.threads import Stopwatch, intra_op


def test_threads_are_set_and_put_back_after_an_error_too():
    before = torch.get_num_threads()
    with intra_op(before + 2):
        assert torch.get_num_threads() == before + 2
        with intra_op(1):
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == before + 2
    assert torch.get_num_threads() == before
    with pytest.raises(KeyError), intra_op(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match="expected 1 or more"), intra_op(0):
        pass


def test_the_stopwatch_counts_cores_of_this_process(monkeypatch):
    clock, cpu = iter([10.0, 12.0]), iter([1.0, 4.0])
    monkeypatch.setattr("kernels.threads.time.perf_counter", lambda: next(clock))
    monkeypatch.setattr("kernels.threads.time.process_time", lambda: next(cpu))
    with Stopwatch() as watch:
        pass
    assert (watch.seconds, watch.cores) == (2.0, 1.5)
