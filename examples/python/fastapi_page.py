"""A page of a FastAPI application:

uvicorn --workers 4 fastapi_page:app
"""

import asyncio
import os
import sqlite3
from contextlib import asynccontextmanager, closing

import fastapi
import shop

from corral import AsyncCorral, BuildFailed

cache = AsyncCorral(os.environ.get("REDIS_URL", "redis://127.0.0.1:6379"), ttl=5, swr=30, sie=3600)


@asynccontextmanager
async def lifespan(_: fastapi.FastAPI):
    shop.make()
    yield
    await cache.close()


app = fastapi.FastAPI(lifespan=lifespan)


@cache.cached("fastapi:report:{day}")
async def report(day: str) -> dict:
    # Its own connection, not the request's: a refresh in the background outlives the request.
    def build() -> dict:
        with closing(sqlite3.connect(shop.DATABASE)) as connection:
            return shop.report(day, connection)

    return await asyncio.to_thread(build)


@app.get("/report/{day}")
async def page(day: str) -> dict:
    return await report(day)


@app.exception_handler(BuildFailed)
async def failed(_: fastapi.Request, error: BuildFailed) -> fastapi.responses.PlainTextResponse:
    retry = {"Retry-After": str(max(1, round(error.retry_after)))}
    return fastapi.responses.PlainTextResponse("The report cannot be made just now.", 503, retry)
