"""What refreshes in the background see of the request that began them: with the frameworks themselves."""

import asyncio
import contextvars
import logging
import threading
import time

import flask
import pytest
from conftest import becomes

import corral

language = contextvars.ContextVar("language", default="none")


@pytest.fixture
def stale(raw):
    raw.execute_command("CACHE.SET", "page", '"old"', "PX", 1, "SWR", 60_000)
    becomes(lambda: raw.execute_command("CACHE.GET", "page")[0] == b"STALE")
    return raw


def test_a_flask_build_has_an_application_context_of_its_own_after_the_request_has_ended(url, stale):
    app = flask.Flask("page")
    app.config["GREETING"] = "hello"
    cache = corral.Corral(url, ttl=60, swr=60)
    requests_seen = []

    def build():
        requests_seen.append(flask.has_request_context())
        return flask.current_app.config["GREETING"] + str(getattr(flask.g, "user", ""))

    @app.get("/")
    def page():
        flask.g.user = " you"  # of the request: not the refresh's
        return cache.get_or_build("page", build)

    assert app.test_client().get("/").text == "old"
    becomes(lambda: stale.execute_command("CACHE.GET", "page")[:2] == [b"HIT", b'"hello"'])
    assert requests_seen == [False]


def test_context_variables_are_copied_to_the_refresh(url, stale):
    cache = corral.Corral(url, ttl=60, swr=60)
    language.set("fr")
    assert cache.get_or_build("page", language.get) == "old"
    becomes(lambda: stale.execute_command("CACHE.GET", "page")[:2] == [b"HIT", b'"fr"'])


def test_a_refresh_that_fails_is_in_the_log_with_its_traceback(url, stale, caplog):
    cache = corral.Corral(url, ttl=60, swr=60, backoff=60)

    def build():
        raise RuntimeError("Working outside of application context")

    with caplog.at_level(logging.ERROR, "corral"):
        assert cache.get_or_build("page", build) == "old"
        record = becomes(lambda: next(iter(caplog.records), None))
    assert "page" in record.getMessage() and record.exc_info[0] is RuntimeError


def test_refreshes_can_be_run_elsewhere(url, stale):
    jobs = []
    cache = corral.Corral(url, ttl=60, swr=60, background=jobs.append)
    assert cache.get_or_build("page", lambda: "new") == "old"
    assert stale.execute_command("CACHE.GET", "page")[0] == b"STALE"
    jobs.pop()()
    assert stale.execute_command("CACHE.GET", "page")[:2] == [b"HIT", b'"new"']


@pytest.fixture(scope="module")
def django(url, tmp_path_factory):
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={
            "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path_factory.mktemp("db") / "db")}
        },
        CACHES={
            "default": {
                "BACKEND": "corral.django.CorralCache",
                "LOCATION": url,
                "KEY_PREFIX": "shop",
                "OPTIONS": {"CORRAL": {"sie": 60}},
            }
        },
    )
    django.setup()
    return django


def test_a_django_connection_that_a_refresh_opened_is_closed_after_it(url, stale, django):
    from django.db import connection, connections

    seen = []

    def build():
        with connection.cursor() as cursor:
            cursor.execute("SELECT 7")
            seen.append(connections["default"])
            return cursor.fetchone()[0]

    assert corral.Corral(url, ttl=60, swr=60).get_or_build("page", build) == "old"
    becomes(lambda: stale.execute_command("CACHE.GET", "page")[:2] == [b"HIT", b"7"])
    becomes(lambda: seen[0].connection is None)


def test_djangos_get_or_set_builds_once_and_the_other_methods_read_what_it_stored(raw, django):
    from django.core.cache import cache

    builds = []

    def build():
        builds.append(1)
        time.sleep(0.2)
        return {1, 2}

    answers = []
    threads = [threading.Thread(target=lambda: answers.append(cache.get_or_set("k", build, 60))) for _ in range(20)]
    [thread.start() for thread in threads]
    [thread.join(20) for thread in threads]
    assert answers == [{1, 2}] * 20 and builds == [1]
    assert cache.get("k") == {1, 2} and "k" in cache and cache.get_many(["k", "none"]) == {"k": {1, 2}}
    assert not cache.add("k", 1) and cache.touch("k", 600)
    assert raw.execute_command("CACHE.GET", cache.make_key("k"))[2] > 500_000
    assert cache.get_or_set("number", 5, 60) == 5 and cache.incr("number") == 6 and cache.get("number") == 6
    assert cache.delete("k") and cache.get("k", "gone") == "gone" and cache.add("k", 1)


def test_djangos_asynchronous_get_or_set_does_not_hold_up_the_loop(raw, django):
    from django.core.cache import cache

    builds = []

    def build():
        builds.append(1)
        time.sleep(0.2)
        return None

    async def main():
        return await asyncio.gather(*(cache.aget_or_set("k", build, 60) for _ in range(10)))

    assert asyncio.run(main()) == [None] * 10 and builds == [1]


def test_what_holds_a_lease_but_no_value_is_free_for_djangos_add(raw, django):
    from django.core.cache import cache

    raw.execute_command("CACHE.GETORLOCK", cache.make_key("k"), "LEASE", 60_000)
    assert "k" not in cache and cache.get("k") is None and not cache.touch("k", 60)
    assert cache.add("k", "v", 60) and cache.get("k") == "v"
