"""What is refused, found out and told before and beside the states that the conformance scenarios play."""

import asyncio
import copy
import threading
import time
from datetime import date, timedelta

import pytest
import redis
import redis.asyncio
import redis.sentinel
import valkey
from conftest import becomes

import corral
from corral import AsyncCorral, Corral
from corral.near import NearCache


@pytest.mark.parametrize(
    "options, word",
    [
        ({"tll": 60}, "tll"),
        ({"ttl": -1}, "ttl"),
        ({"ttl": "60"}, "ttl"),
        ({"tags": "reports"}, "tags"),
        ({"serializer": "yaml"}, "serializer"),
        ({"degrade": "no"}, "degrade"),
        ({"on_timeout": "wait"}, "on_timeout"),
        ({"jitter": 101}, "jitter"),
        ({"max_waiting": 0}, "max_waiting"),
    ],
)
def test_a_wrong_option_is_refused_at_construction_and_named(options, word):
    with pytest.raises(ValueError, match=word):
        Corral("redis://127.0.0.1:1", **options)


def test_what_is_no_client_is_refused_at_construction_with_what_to_pass():
    with pytest.raises(ValueError, match="AsyncCorral"):
        Corral(redis.asyncio.Redis())
    with pytest.raises(ValueError, match="Corral for it"):
        AsyncCorral(redis.Redis())
    with pytest.raises(ValueError, match="master_for"):
        Corral(redis.sentinel.Sentinel([("127.0.0.1", 1)]))
    with pytest.raises(ValueError, match="int"):
        Corral(7)
    with pytest.raises(ValueError, match="redis://"):
        Corral("localhost:6379")


@pytest.mark.parametrize("protocol", [2, 3])
@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("client", [redis.Redis, valkey.Valkey])
def test_replies_are_read_right_whatever_the_client_would_do_with_them(url, raw, client, decode, protocol):
    cache = Corral(client.from_url(url, decode_responses=decode, protocol=protocol), ttl=60)
    builds = []
    for _ in range(10):
        assert cache.get_or_build("k", lambda: builds.append(1) or {"é": [1]}) == {"é": [1]}
    assert builds == [1]


def test_a_coroutine_function_is_refused_by_the_object_for_threads(url, raw):
    async def build():
        return 1

    with pytest.raises(TypeError, match="AsyncCorral"):
        Corral(url).get_or_build("k", build)


def test_an_unknown_state_is_an_error_and_takes_no_value(url, raw):
    cache = Corral(url)
    cache.get_or_build("k", lambda: 1)
    server = cache._engine().server
    reach = server.reach

    async def answering_otherwise(key, arguments, deadline, checked=True):
        reached = await reach(key, arguments, deadline, checked)
        return reached._replace(reply=[b"MAYBE", b"1", 0])

    server.reach = answering_otherwise
    with pytest.raises(corral.UnknownAnswer, match="MAYBE"):
        cache.get_or_build("k", lambda: 2)


def test_options_may_be_timedeltas_and_functions_of_the_value(url, raw):
    cache = Corral(url, swr=timedelta(seconds=30))
    assert cache.get_or_build("k", lambda: {"seconds": 5}, ttl=lambda value: value["seconds"]) == {"seconds": 5}
    assert 0 < raw.execute_command("CACHE.GET", "k")[2] <= 5_000
    assert 30_000 < raw.pttl("k") <= 35_000


def test_a_ttl_of_0_is_for_those_who_wait_and_is_not_kept(url, raw):
    cache = Corral(url, ttl=0)
    assert [cache.get_or_build("k", lambda n=n: n) for n in range(3)] == [0, 1, 2]
    assert raw.execute_command("CACHE.LEASES") == []


def test_each_failing_caller_is_raised_an_exception_of_its_own(url, raw):
    cache, gate, errors = Corral(url, backoff=60), threading.Event(), []

    def build():
        gate.wait(10)
        raise OSError("down")

    def call():
        try:
            cache.get_or_build("k", build)
        except (OSError, corral.BuildFailed) as error:
            errors.append(error)

    threads = [threading.Thread(target=call) for _ in range(5)]
    [thread.start() for thread in threads]
    becomes(lambda: raw.execute_command("CACHE.LEASES"))
    gate.set()
    [thread.join() for thread in threads]
    assert len({id(error) for error in errors}) == 5
    original = next(error for error in errors if type(error) is OSError)
    failed = [error for error in errors if isinstance(error, corral.BuildFailed)]
    assert len(failed) == 4 and {failure.message for failure in failed} == {"OSError: down"}
    assert all(failure.__cause__ in (original, None) for failure in failed)


def test_the_text_of_a_failure_can_be_kept_from_others(url, raw):
    cache = Corral(url, backoff=60, error_text=False)
    with pytest.raises(OSError):
        cache.get_or_build("k", lambda: (_ for _ in ()).throw(OSError("password=secret")))
    assert raw.execute_command("CACHE.GET", "k")[:2] == [b"FAIL", b"OSError"]


def test_methods_and_attributes_make_keys(url, raw):
    class Shop:
        def __init__(self, number):
            self.number = number

        @Corral(url, ttl=60).cached("shop:{self.number}:{day}")
        def report(self, day="monday"):
            return [self.number, day]

    assert Shop(3).report() == [3, "monday"]
    assert Shop.report.key(Shop(3)) == "shop:3:monday" == Shop(3).report.key(day="monday")
    Shop(3).report.invalidate("monday")


def test_a_template_that_leaves_out_an_argument_is_refused_unless_that_is_said(url, raw):
    cache = Corral(url, ttl=60)

    def report(day, full=False, user=None):
        return [day, full]

    with pytest.raises(ValueError, match="leaves out day, full, user"):
        cache.cached("report")(report)
    with pytest.raises(ValueError, match="leaves out full of .*report: .*ignore="):
        cache.cached("report:{day}", ignore=["user"])(report)
    with pytest.raises(ValueError, match="{users} is no parameter"):
        cache.cached("report:{day}:{full}", ignore=["users"])(report)
    with pytest.raises(ValueError, match="leaves out day"):
        AsyncCorral("redis://127.0.0.1:1").cached("report")(report)
    cached = cache.cached("report:{day}:{full}", ignore=["user"])(report)
    assert [cached(1, user=2), cached(1, True), cached(1, user=3)] == [[1, False], [1, True], [1, False]]


def test_a_template_may_say_how_an_argument_is_written():
    cached = Corral("redis://127.0.0.1:1").cached("report:{day:%Y-%m}:{name!r}:{number:04}")(
        lambda day, name, number: None
    )
    assert cached.key(date(2026, 11, 26), "a", 7) == "report:2026-11:'a':0007"


def test_tags_are_made_of_arguments_as_they_are(url, raw):
    cache = Corral(url, ttl=60)
    built = []

    @cache.cached("product:{product.id}:{day}", tags=["product:{product.id}", "products"])
    def page(product, day):
        built.append(day)
        return day

    class Product:
        id = "a:b"

    def pages():
        return [page(Product, 1), page(Product, 2)]

    assert pages() == [1, 2] == pages() and built == [1, 2]
    cache.invalidate_tags("product:a:b")
    assert pages() == [1, 2] and built == [1, 2, 1, 2]
    page.refresh(Product, 1)
    cache.invalidate_tags("products")
    assert pages() == [1, 2] and built == [1, 2, 1, 2, 1, 1, 2]
    assert Corral(url, tags=["{app}"]).cached("plain")(lambda: 1)() == 1
    with pytest.raises(ValueError, match="{id} is no parameter of .*lambda.*, which has none"):
        cache.cached("all", tags=["product:{id}"])(lambda: 1)
    with pytest.raises(TypeError, match="{product} is a type, of which no text"):
        cache.cached("product:{product.id}", tags=["product:{product}"])(lambda product: 1)(Product)


def test_an_invalidation_does_not_wait_for_the_pause_after_an_outage(url, raw):
    cache = Corral(url, ttl=60, swr=60)
    cache.get_or_build("k", lambda: 1)
    outage = cache._engine().server.topology.at(None).outage
    outage._pause = 60.0  # as if it had been tried in vain for long
    outage.begin(ConnectionError("refused"))
    cache.invalidate("k")
    assert raw.execute_command("CACHE.GET", "k")[0] == b"STALE"


def test_a_version_and_an_invalidation_that_were_not_taken_are_told_again(url, raw):
    cache = Corral(url, ttl=60, swr=60)
    for tell in (lambda: cache.outdate("k", 9), lambda: cache.invalidate("k")):
        cache.refresh("k", lambda: 1)
        outage = cache._engine().server.topology.at(None).outage
        outage._pause = 60.0  # as if it had been tried in vain for long
        outage.begin(ConnectionError("refused"))
        tell()
        assert raw.execute_command("CACHE.GET", "k")[0] == b"STALE"
    lost = Corral("redis://127.0.0.1:1")
    for tell in (lambda: lost.outdate("k", 9), lambda: lost.invalidate("k", "l")):
        with pytest.raises(corral.NotAllAnswered, match="127.0.0.1:1"):
            tell()


def test_a_near_copy_is_as_old_as_its_question():
    near = NearCache(10, 1.0)
    near.put(b"k", b"v", 60.0, near.moment, time.monotonic() - 1.1)
    assert near.get(b"k") is None
    near.put(b"k", b"v", 60.0, near.moment, time.monotonic())
    assert near.get(b"k") == b"v"


def test_an_invalidation_of_nothing_is_no_error():
    cache = Corral("redis://127.0.0.1:1")
    cache.invalidate()
    cache.invalidate_tags()


def test_an_asynchronous_object_serves_two_event_loops(url, raw):
    cache = AsyncCorral(url, ttl=60)

    async def build():
        return 1

    for _ in range(2):
        assert asyncio.run(cache.get_or_build("k", build)) == 1


def test_the_hook_of_events_may_raise(url, raw):
    def hook(event):
        raise KeyError(event.name)

    assert Corral(url, on_event=hook).get_or_build("k", lambda: 1) == 1


def test_opentelemetry_counts_calls_and_has_a_span_for_each_build(url, raw):
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    from corral.opentelemetry import instrument

    spans, reader, tracing = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    hook = instrument(tracing.get_tracer("t"), MeterProvider([reader]).get_meter("t"))
    cache = Corral(url, on_event=hook)
    assert [cache.get_or_build("k", lambda: 1) for _ in range(3)] == [1, 1, 1]
    told = [(span.name, span.attributes["corral.key"]) for span in spans.get_finished_spans()]
    assert [span for span in told if span[0] != "corral wait"] == [("corral build", "k")]
    metrics = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics
    counted = {
        p.attributes["name"]: p.value for m in metrics if m.name == "corral.events" for p in m.data.data_points
    }
    counted.pop("waited", None)  # on a busy machine the answer itself takes its time
    assert {m.name: m.unit for m in metrics if m.name == "corral.build"} == {"corral.build": "s"}
    assert counted == {"built": 1, "hit": 2}


def test_a_value_is_decoded_for_each_caller(url, raw):
    cache = Corral(url, ttl=60, local=10, local_ttl=60)
    first = cache.get_or_build("k", lambda: [1])
    before = copy.copy(first)
    first.append(2)
    assert cache.get_or_build("k", list) == before
