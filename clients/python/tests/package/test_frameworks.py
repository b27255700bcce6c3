"""What refreshes in the background see of the request that began them: with the frameworks themselves."""

import contextvars
import logging

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


def test_a_django_connection_that_a_refresh_opened_is_closed_after_it(url, stale, tmp_path):
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "db")}})
        django.setup()
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
