"""A page of a Flask application. Run it in four processes, and ask for it a hundred times at once:

gunicorn --workers 4 --threads 8 flask_page:app
"""

import os
import sqlite3

import flask
import shop

from corral import BuildFailed, Corral

app = flask.Flask(__name__)
cache = Corral(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), ttl=5, swr=30, sie=3600)
shop.make()


def database() -> sqlite3.Connection:
    """One for each application context. A refresh in the background has a context, and so a connection, of its own."""
    if "database" not in flask.g:
        flask.g.database = sqlite3.connect(shop.DATABASE)
    return flask.g.database


@app.teardown_appcontext
def close_database(_: BaseException | None) -> None:
    if "database" in flask.g:
        flask.g.pop("database").close()


@cache.cached("flask:report:{day}")
def report(day: str) -> dict:
    return shop.report(day, database())


@app.get("/report/<day>")
def page(day: str) -> dict:
    return report(day)


@app.post("/report/<day>/changed")
def changed(day: str) -> tuple[str, int]:
    report.invalidate(day)
    return "", 204


@app.errorhandler(BuildFailed)
def failed(error: BuildFailed) -> tuple[str, int, dict]:
    return "The report cannot be made just now.", 503, {"Retry-After": str(max(1, round(error.retry_after)))}
