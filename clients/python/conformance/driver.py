"""The Python driver of clients/conformance (its README says what a driver does).

usage: driver.py redis-py|valkey-py sync|asyncio
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import json
import os
import signal
import sys
import threading
import time

import corral

LIBRARY, FLAVOUR = sys.argv[1], sys.argv[2]
ASYNC = FLAVOUR == "asyncio"
NAME = LIBRARY.split("-")[0]
client = importlib.import_module(NAME + (".asyncio" if ASYNC else ""))
sentinel = importlib.import_module(NAME + (".asyncio" if ASYNC else "") + ".sentinel")
cluster = importlib.import_module(NAME + (".asyncio" if ASYNC else "") + ".cluster")
version = importlib.import_module(NAME).__version__

HAS = "cluster sentinel resp3 tls concurrent fork at_fork renew background local unencodable closures error_text".split()
HAS += ["cancel"] if ASYNC else []


class BuildError(Exception):
    pass


writing = threading.Lock()


def say(message):
    with writing:
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


def plain(value):
    """An answer as JSON: bytes as the format writes them."""
    if isinstance(value, bytes):
        return {"$bytes": base64.b64encode(value).decode()}
    return value


def given(value):
    return base64.b64decode(value["$bytes"]) if isinstance(value, dict) and "$bytes" in value else value


KINDS = [
    (BuildError, "Build"),
    (corral.BuildFailed, "BuildFailed"),
    (corral.WaitTimeout, "WaitTimeout"),
    (corral.ModuleMissing, "ModuleMissing"),
    (corral.NoPermission, "NoPermission"),
    (corral.NotAllAnswered, "NotAllAnswered"),
    (corral.RecursiveBuild, "Recursion"),
    (corral.Unavailable, "Server"),
    (asyncio.CancelledError, "Cancelled"),
]


def described(error, doing):
    kind = next((name for of, name in KINDS if isinstance(error, of)), "Other")
    if kind == "Other" and "JSON serializable" in str(error):
        kind = "Encoding"
    elif kind == "Other" and isinstance(error, (TypeError, ValueError)) and doing in ("define", "call", "key", "open"):
        kind = "Usage"
    answer = {"type": kind, "message": str(error) if kind != "Other" else f"{type(error).__name__}: {error}"}
    return answer | ({"retry_after": error.retry_after} if kind == "BuildFailed" else {})


class Driver:
    """The state, and what both flavours do alike: `await` is of something that is there already in the sync one."""

    def __init__(self):
        self.objects, self.functions, self.seen, self.gates = {}, {}, {}, {}

    # --- Objects ---

    def open(
        self,
        corral="c",
        topology="standalone",
        url=None,
        ca=None,
        nodes=(),
        sentinels=(),
        service=None,
        resp=2,
        options=None,
        **_,
    ):
        def address(text):
            host, port = text.rsplit(":", 1)
            return host, int(port)

        credentials = self.credentials(url)
        if topology == "cluster":
            startup = [cluster.ClusterNode(*address(node)) for node in nodes]
            of = cluster.RedisCluster if NAME == "redis" else cluster.ValkeyCluster
            made = of(startup_nodes=startup, protocol=resp, **credentials)
        elif topology == "sentinel":
            finder = sentinel.Sentinel([address(s) for s in sentinels], sentinel_kwargs={"socket_timeout": 2})
            made = finder.master_for(service, protocol=resp, **credentials)
        else:
            # decode_responses is what most people have, and what used to be misread.
            of = client.Redis if NAME == "redis" else client.Valkey
            trusted = {"ssl_ca_certs": ca} if ca else {}
            made = of.from_url(url, protocol=resp, decode_responses=resp == 3, **trusted)
        seen = self.seen[corral] = []
        of = sys.modules["corral"].AsyncCorral if ASYNC else sys.modules["corral"].Corral
        self.objects[corral] = of(made, on_event=lambda event: seen.append(event.name), **(options or {}))

    def credentials(self, url):
        user = url.split("://", 1)[1].rpartition("@")[0]
        return dict(zip(("username", "password"), user.split(":", 1))) if user else {}

    def events(self, corral="c", **_):
        return list(self.seen[corral])

    # --- Scripts ---

    def gate(self, gate):
        return self.gates.setdefault(gate, asyncio.Event() if ASYNC else threading.Event())

    def act(self, action):
        """The actions that need no waiting; None if it is another one."""
        if "return_unencodable" in action:
            return {1, 2}
        if "raise" in action:
            raise BuildError(action["raise"])
        if "return" in action:
            value = given(action["return"])
            return corral.NotShared(value) if action.get("not_shared") else value
        if "exit" in action:
            os.kill(os.getpid(), signal.SIGKILL)
        if "fork" in action and os.fork() == 0:
            time.sleep(action["fork"])
            os._exit(0)
        return None

    def key_of(self, call, default):
        return default


class Threaded(Driver):
    def build(self, of, key, script, call):
        def run():
            say({"event": "begun", "key": key, "call": call, "at": time.monotonic()})
            try:
                value = None
                for action in script:
                    if "wait_for" in action:
                        self.gate(action["wait_for"]).wait()
                    elif "sleep" in action:
                        time.sleep(action["sleep"])
                    elif "get_or_build" in action:
                        inner = action["get_or_build"]
                        self.get(of, inner["key"], inner.get("options"), inner["build"], call)
                    else:
                        value = self.act(action)
                return value
            finally:
                say({"event": "ended", "key": key, "call": call, "at": time.monotonic()})

        return run

    def get(self, of, key, options, script, call):
        return self.objects[of].get_or_build(key, self.build(of, key, script, call), **(options or {}))

    def do(self, request):
        doing, of = request["do"], request.get("corral", "c")
        if doing == "get_or_build":
            value = self.get(of, request["key"], request.get("options"), request["build"], request["id"])
            if request.get("mutate"):
                value.append("mutated")
                time.sleep(0.1)
            return value
        if doing == "define":
            build, template = request["build"], request["template"]
            names = request["parameters"]
            scope = {"run": lambda key: self.build(of, key, build, request["id"])()}
            exec(f"def function({', '.join(names)}): return run(made.key({', '.join(names)}))", scope)
            made = self.objects[of].cached(template, **request.get("options", {}))(scope["function"])
            scope["made"] = self.functions[request["function"]] = made
            return None
        if doing in ("call", "refresh", "key", "invalidate_call"):
            made = self.functions[request["function"]]
            method = {"call": made, "refresh": made.refresh, "key": made.key, "invalidate_call": made.invalidate}[doing]
            return method(*request["args"])
        if doing == "invalidate":
            return self.objects[of].invalidate(*request["keys"])
        if doing == "invalidate_tags":
            return self.objects[of].invalidate_tags(*request["tags"], swr=request.get("swr"))
        if doing == "outdate":
            return self.objects[of].outdate(request["key"], request["version"])
        if doing == "check":
            told = self.objects[of].check()
            return {"version": told.version, "missing": told.missing}
        if doing == "close":
            return self.objects[of].close()
        return self.both(doing, request)

    def both(self, doing, request):
        fields = {name: value for name, value in request.items() if name not in ("id", "do")}
        if doing == "hello":
            return {"language": "python", "library": f"{LIBRARY} {version} {FLAVOUR}", "has": HAS}
        if doing == "open":
            return self.open(**fields)
        if doing == "events":
            return self.events(**fields)
        if doing == "gate":
            return self.gate(request["gate"]).set()
        if doing == "fork":
            return self.forked(request["then"])
        raise LookupError(doing)

    def forked(self, then):
        reading, writing_end = os.pipe()
        if os.fork() == 0:
            global writing
            writing = threading.Lock()  # the driver's own: a thread of the parent may have held it
            answer = self.in_child(then | {"id": -1})
            os.write(writing_end, json.dumps(answer).encode())
            os._exit(0)
        os.close(writing_end)
        with os.fdopen(reading) as pipe:
            answer = json.loads(pipe.read())
        os.wait()
        if "error" in answer:
            raise Answered(answer["error"])
        return answer["value"]

    def in_child(self, then):
        return self.answer(then)

    def answer(self, request):
        try:
            return {"id": request["id"], "value": plain(self.do(request))}
        except BaseException as error:
            return {"id": request["id"], "error": failed(error, request["do"])}

    def main(self):
        for line in sys.stdin:
            request = json.loads(line)
            if request["do"] in ("gate", "events", "hello", "open"):
                say(self.answer(request))
            else:
                threading.Thread(target=lambda r=request: say(self.answer(r)), daemon=True).start()
        os._exit(0)


class Answered(Exception):
    pass


def failed(error, doing):
    if isinstance(error, Answered):
        return error.args[0]
    if isinstance(error, LookupError) and error.args == (doing,):
        return {"type": "Unsupported", "message": doing}
    return described(error, doing)


class Tasked(Threaded):
    def __init__(self):
        super().__init__()
        self.calls = {}

    def build(self, of, key, script, call):
        async def run():
            say({"event": "begun", "key": key, "call": call, "at": time.monotonic()})
            try:
                value = None
                for action in script:
                    if "wait_for" in action:
                        await self.gate(action["wait_for"]).wait()
                    elif "sleep" in action:
                        await asyncio.sleep(action["sleep"])
                    elif "get_or_build" in action:
                        inner = action["get_or_build"]
                        await self.get(of, inner["key"], inner.get("options"), inner["build"], call)
                    else:
                        value = self.act(action)
                return value
            finally:
                say({"event": "ended", "key": key, "call": call, "at": time.monotonic()})

        return run

    async def answer_later(self, request):
        try:
            if request["do"] == "cancel":
                self.calls[request["call"]].cancel()
                return {"id": request["id"], "value": None}
            value = self.do(request | {"mutate": False})
            value = await value if asyncio.iscoroutine(value) else value
            if request["do"] == "check":
                value = {"version": value.version, "missing": value.missing}
            if request.get("mutate"):
                value.append("mutated")
                await asyncio.sleep(0.1)
            return {"id": request["id"], "value": plain(value)}
        except BaseException as error:
            return {"id": request["id"], "error": failed(error, request["do"])}

    def do(self, request):
        if request["do"] == "check":
            return self.objects[request.get("corral", "c")].check()
        return super().do(request)

    def in_child(self, then):
        # A new process has its own loop; the parent's may not be touched.
        asyncio._set_running_loop(None)
        return asyncio.run(self.answer_later(then))

    async def serve(self):
        loop, lines = asyncio.get_running_loop(), asyncio.Queue()

        def read():
            for line in sys.stdin:
                loop.call_soon_threadsafe(lines.put_nowait, line)
            os._exit(0)

        threading.Thread(target=read, daemon=True).start()
        while True:
            request = json.loads(await lines.get())
            if request["do"] == "open":
                say(await self.answer_later(request))
                continue
            task = self.calls[request["id"]] = loop.create_task(self.answer_later(request))
            task.add_done_callback(lambda done: say(done.result()))

    def main(self):
        asyncio.run(self.serve())


(Tasked() if ASYNC else Threaded()).main()
