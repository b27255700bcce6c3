"""Celery beat keeps reports warm, so that no visitor ever waits for one:

celery -A warm_up worker --beat
"""

import os
import sqlite3
from contextlib import closing

import shop
from celery import Celery

from corral import Corral

URL = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")
app = Celery("warm_up", broker=URL)
app.conf.broker_connection_retry_on_startup = True
app.conf.beat_schedule_filename = os.environ.get("BEAT_SCHEDULE", "celerybeat-schedule")
app.conf.beat_schedule = {
    day: {"task": "warm_up.warm", "schedule": float(os.environ.get("WARM_SECONDS", "30")), "args": (day,)}
    for day in ("monday", "friday")
}
cache = Corral(URL, ttl=60, swr=3600)
shop.make()


@cache.cached("warm:report:{day}")
def report(day: str) -> dict:
    with closing(sqlite3.connect(shop.DATABASE)) as connection:
        return shop.report(day, connection)


@app.task
def warm(day: str) -> None:
    """Builds although the value is fresh. Visitors are served the old one meanwhile; two workers do not both build."""
    report.refresh(day)
