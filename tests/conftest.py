"""Settings of all tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Shared machines stall for a second now and then: an example's time says nothing about the code.
settings.register_profile("sparring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sparring")


@pytest.fixture(scope="session", autouse=True)
def own_locks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Runs of these tests are alone among themselves; others on this host are none of theirs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_LOCKS", str(tmp_path_factory.mktemp("locks")))
        yield


@pytest.fixture(scope="session", autouse=True)
def engine_settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """PyTorch where a test leaves the backend open, and kernels in a folder of this session.

    Variables, so that they also hold in the processes and MPI ranks that tests start: a kernel
    takes seconds to compile, and the tests' small networks are many. Tests of the engine ask for
    ``backend="fused"``, or delete ``SPARRING_BACKEND`` to try ``"auto"``. What the user's own cache
    holds, or is too damaged to hold, is neither used nor changed.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARRING_BACKEND", "torch")
        patch.setenv("SPARRING_CACHE", str(tmp_path_factory.mktemp("kernels")))
        yield
