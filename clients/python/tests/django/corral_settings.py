"""Django's own tests of its Redis cache, run on corral.django: `runtests.py --settings=corral_settings cache…`.

The suite finds the backend it tests by its name, "django.core.cache.backends.redis.RedisCache". So that not a line of
it is changed, that name is Corral's class here, and what looks at Django's internals is skipped with a reason."""

import os
import unittest

import django.core.cache.backends.redis

import corral.django

django.core.cache.backends.redis.RedisCache = corral.django.CorralCache

DATABASES = {
    "default": {"ENGINE": "django.db.backends.sqlite3"},
    "other": {"ENGINE": "django.db.backends.sqlite3"},
}
SECRET_KEY = "of a test"
USE_TZ = False
DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
CACHES = {"default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_URL"]}}

SKIPPED = {"test_cache_client_class": "compares the class of the client with Django's own"}


def load_tests_without_internals():
    run = unittest.TestCase.run

    def skipping(case, result=None):
        method = getattr(case, case._testMethodName, None)
        if type(case).__name__ == "RedisCacheTests" and case._testMethodName in SKIPPED and method is not None:
            setattr(case, case._testMethodName, unittest.skip(SKIPPED[case._testMethodName])(method))
        return run(case, result)

    unittest.TestCase.run = skipping


load_tests_without_internals()
