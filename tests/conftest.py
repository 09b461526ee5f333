"""Settings of all tests."""

from hypothesis import HealthCheck, settings

# Shared machines stall for a second now and then: an example's time says nothing about the code.
settings.register_profile("sparring", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sparring")
