"""dogpile.cache's own generic suites (dogpile.testing.fixtures), on corral.dogpile: not a line of them is changed."""

import os

from dogpile.testing.fixtures import _GenericBackendTestSuite, _GenericMutexTestSuite, _GenericSerializerTestSuite

CONFIGURED = {"arguments": {"url": os.environ["REDIS_URL"]}}


class TestBackend(_GenericBackendTestSuite):
    backend = "corral"
    config_args = CONFIGURED


class TestSerializer(_GenericSerializerTestSuite, TestBackend):
    pass


class TestMutex(_GenericMutexTestSuite):
    backend = "corral"
    config_args = CONFIGURED
