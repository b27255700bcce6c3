"""Plays one scenario: starts what it needs, takes its steps, and says what was not as it must be."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from typing import Any

from driver import Builds, Call, Driver
from expectations import Mismatch, answer_fits, fits, shown, wanted_by
from servers import NotHere, Servers, until
from wire import ServerError

ANSWER_DEADLINE = 90.0  # where a scenario does not say `within`
START_DEADLINE = 90.0  # of a language's runtime, on a machine that is busy
DRIVER_CALLS = frozenset(
    "get_or_build define call refresh key invalidate_call invalidate invalidate_tags outdate check close open "
    "fork".split()
)


class Skipped(Exception):
    """With the word that is missing."""


def hello(command: list[str], verbose: bool) -> dict[str, Any]:
    """Which library the driver has, and what library and language have."""
    driver = Driver(command, Builds(), verbose)
    call = driver.send({"do": "hello"})
    if not call.answered.wait(START_DEADLINE) or "error" in call.answer:
        raise Mismatch(f"the driver does not answer hello: {call.answer}\n{driver.end()}")
    driver.end()
    said: dict[str, Any] = call.answer["value"]
    return said


class Player:
    def __init__(self, scenario: dict[str, Any], command: list[str], has: list[str], resp: int, verbose: bool) -> None:
        self._scenario, self._command, self._has, self._resp, self._verbose = scenario, command, has, resp, verbose
        self._builds = Builds()
        self._drivers: dict[str, Driver] = {}
        self._named: dict[str, list[Call]] = {}
        self._kept: dict[str, Any] = {}
        self._gates: list[str] = []
        self._servers: Servers | None = None

    @property
    def servers(self) -> Servers:
        assert self._servers is not None
        return self._servers

    def play(self) -> None:
        scenario = self._scenario
        try:
            self._check_driver()
            self._servers = Servers(
                scenario.get("topology", "standalone"),
                scenario.get("module", True),
                scenario.get("settings", {}),
                spare=scenario.get("spare", False),
                tls=scenario.get("tls", False),
            )
            for word in scenario.get("needs", []):
                if not self._servers.module_has(word):
                    raise Skipped(f"the module has no {word}")
            if "user" in scenario:
                self._servers.make_user(scenario["user"])
            for name in scenario.get("drivers", ["A"]):
                self._start(name)
            for step in scenario["steps"]:
                self._take(step)
        except (Skipped, NotHere, KeyboardInterrupt):
            raise
        except BaseException as error:
            said = "".join(f"\n--- driver {name} ---\n{driver.end()}" for name, driver in self._drivers.items())
            raise Mismatch(f"{error if isinstance(error, (Mismatch, TimeoutError)) else repr(error)}{said}") from error
        finally:
            for driver in self._drivers.values():
                driver.end()
            if self._servers is not None:
                self._servers.remove()

    # --- Before the first step ---

    def _check_driver(self) -> None:
        for word in [*self._scenario.get("driver_needs", []), *(["resp3"] if self._resp == 3 else [])]:
            if not set(word.split("|")) & set(self._has):
                raise Skipped(f"the driver has no {word}")

    def _start(self, name: str) -> None:
        self._drivers[name] = Driver(self._command, self._builds, self._verbose)
        for gate in self._gates:
            self._drivers[name].send({"do": "gate", "gate": gate})
        if self._scenario.get("open", True):
            self._await(self._drivers[name].send(self._opening({})), {"do": "open", "within": START_DEADLINE})

    def _opening(self, step: dict[str, Any]) -> dict[str, Any]:
        user = "app:secret" if "user" in self._scenario else None
        return {
            "do": "open",
            "corral": "c",
            **self.servers.for_driver(user),
            "resp": self._resp,
            "options": self._scenario.get("options", {}),
            **step,
        }

    # --- Steps ---

    def _take(self, step: dict[str, Any]) -> None:
        doing = step["do"]
        try:
            if doing in DRIVER_CALLS:
                self._call(step)
            else:
                handler: Callable[[dict[str, Any]], None] | None = getattr(self, f"_do_{doing}", None)
                if handler is None:
                    raise Mismatch(f"no step {doing!r}")
                handler(step)
        except Mismatch as mismatch:
            raise Mismatch(f"{doing} {step.get('of', step.get('key', step.get('command', '')))}: {mismatch}") from None

    def _call(self, step: dict[str, Any]) -> None:
        names = list(self._drivers) if step.get("driver") == "*" else [step.get("driver", "A")]
        own = ("driver", "times", "as", "gives", "fails", "within", "keep")
        request = {name: value for name, value in step.items() if name not in own}
        if request["do"] == "open":
            request = self._opening(request)
        elif "corral" not in request and "function" not in request:
            request["corral"] = "c"
        if request["do"] == "define":
            request.setdefault("corral", "c")
        calls = []
        for name in names:
            for number in range(step.get("times", 1)):
                calls.append(self._drivers[name].send(self._filled(request, number)))
        if "as" in step:
            self._named.setdefault(step["as"], []).extend(calls)
            return
        for call in calls:
            self._await(call, step)

    def _await(self, call: Call, step: dict[str, Any]) -> None:
        self._answered(call, step.get("within", ANSWER_DEADLINE))
        step = self._filled(step, 0)
        if not answer_fits(step, call.answer):
            raise Mismatch(f"wanted {wanted_by(step)}, got {shown(call.answer)}")

    def _answered(self, call: Call, seconds: float) -> None:
        if not call.answered.wait(seconds):
            raise Mismatch(f"no answer within {seconds:g} s")

    def _do_expect(self, step: dict[str, Any]) -> None:
        calls, end = self._named[step["of"]], time.monotonic() + step.get("within", ANSWER_DEADLINE)
        for call in calls:
            self._answered(call, max(0.0, end - time.monotonic()))
        if step.get("ends"):
            return
        if "count" not in step:
            for call in calls:
                self._await(call, step)
            return
        left = [call.answer for call in calls]
        for count, wanted in step["count"].items():
            fitting = [answer for answer in left if answer_fits(self._filled(wanted, 0), answer)]
            if len(fitting) != int(count):
                others = sorted({shown(answer) for answer in left})[:4]
                raise Mismatch(
                    f"wanted {count} times {wanted_by(wanted)}, got it {len(fitting)} times; there were {others}"
                )
            left = [answer for answer in left if answer not in fitting]
        if left:
            raise Mismatch(f"also {len(left)} times, as {shown(left[0])}")

    def _do_pending(self, step: dict[str, Any]) -> None:
        for call in self._named[step["of"]]:
            if call.answered.is_set():
                raise Mismatch(f"answered already: {shown(call.answer)}")

    def _do_cancel(self, step: dict[str, Any]) -> None:
        for call in self._named[step["of"]]:
            self._await(call.driver.send({"do": "cancel", "call": call.number}), {})

    def _do_builds(self, step: dict[str, Any]) -> None:
        for word, counted in (("begun", self._builds.begun), ("ended", self._builds.ended)):
            if word not in step:
                continue

            def count() -> int:
                return counted[step["key"]] if "key" in step else counted.total()

            until(
                f"{step[word]} builds have {word}, there are {count()}", lambda: count() >= step[word], ANSWER_DEADLINE
            )
            if count() != step[word]:
                raise Mismatch(f"wanted {step[word]} builds {word}, got {count()}")
        most = step.get("running_at_most")
        if most is not None and self._builds.most_at_once > most:
            raise Mismatch(f"wanted at most {most} builds at once, got {self._builds.most_at_once}")

    def _do_gate(self, step: dict[str, Any]) -> None:
        self._gates.append(step["open"])
        # To all of them first: one that can do one thing at a time may wait for what another one builds.
        for call in [driver.send({"do": "gate", "gate": step["open"]}) for driver in self._drivers.values()]:
            call.answered.wait(ANSWER_DEADLINE)

    def _do_redis(self, step: dict[str, Any]) -> None:
        if step.get("beside"):
            self.servers.nodes[step.get("node", 0)].call_beside(*step["command"])
            return
        for number in range(step.get("times", 1)):
            self._redis(step, self._filled(step["command"], number))

    def _redis(self, step: dict[str, Any], command: list[str]) -> None:

        def ask() -> Any:
            if "node" in step:
                node = self.servers.nodes[step["node"]]
            else:
                node = self.servers.of_key(command[1]) if len(command) > 1 else self.servers.nodes[0]
            return node.call(*command)

        if "becomes" in step:
            last: list[Any] = [None]

            def as_wanted() -> bool:
                last[0] = ask()
                return fits(step["becomes"], last[0])

            try:
                until("", as_wanted, step.get("within", ANSWER_DEADLINE))
            except TimeoutError as error:
                raise Mismatch(f"wanted {step['becomes']}, it is {last[0]} {error}") from error
            return
        try:
            got = ask()
        except ServerError as error:
            if str(error).startswith(step.get("refused", "\n")):
                return
            raise
        if "refused" in step:
            raise Mismatch(f"wanted the error {step['refused']}, got {got}")
        if "gives" in step and not fits(self._filled(step["gives"], 0), got):
            raise Mismatch(f"wanted {step['gives']}, got {got}")
        if "lacks" in step and step["lacks"].lower() in str(got).lower():
            raise Mismatch(f"{step['lacks']!r} is in {got}")
        if "keep" in step:
            self._kept[step["keep"]] = got

    def _do_waiters(self, step: dict[str, Any]) -> None:
        fields = ["corral_waiters"] if step.get("parked") else ["corral_waiters", "corral_listeners"]

        def count() -> int:
            infos = [node.info("corral") for node in self.servers.nodes]
            return sum(int(info.get(field, 0)) for info in infos for field in fields)

        if "at_most" in step:
            if count() > step["at_most"]:
                raise Mismatch(f"wanted at most {step['at_most']} waiters, got {count()}")
            return
        wanted = step.get("workers", step["count"]) if "workers" in self._has else step["count"]
        try:
            until("", lambda: count() == wanted, ANSWER_DEADLINE)
        except TimeoutError as error:
            raise Mismatch(f"wanted {wanted} waiters, got {count()}") from error

    def _do_kill(self, step: dict[str, Any]) -> None:
        self._drivers[step["driver"]].kill()

    def _do_start(self, step: dict[str, Any]) -> None:
        self._start(step["driver"])

    def _do_disconnect(self, step: dict[str, Any]) -> None:
        who = step["who"]
        if who == "holder":
            node = self.servers.of_key(step["key"])
            lease = next(row for row in map(_map, node.call("CACHE.LEASES")) if row["key"] == step["key"])
            if not node.call("CLIENT", "KILL", "ID", _map(lease["holder"])["id"]):
                raise Mismatch("the lease's holder is no client")
            return
        for node in self.servers.nodes:
            if who == "all":
                node.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                continue
            for line in node.call("CLIENT", "LIST").splitlines():
                client = dict(field.split("=", 1) for field in line.split() if "=" in field)
                if who == "unblock" and "b" in client["flags"]:
                    node.call("CLIENT", "UNBLOCK", client["id"], "ERROR")
                if who == "waiters" and set("bP") & set(client["flags"]):
                    node.call("CLIENT", "KILL", "ID", client["id"])

    def _do_server(self, step: dict[str, Any]) -> None:
        node, action = self.servers.nodes[step.get("node", 0)], step["action"]
        if action in ("stop", "restart"):
            node.stop()
        if action == "kill":
            node.stop(signal.SIGKILL)
        if action in ("start", "restart"):
            node.start()
        if action in ("hang", "continue"):
            node.signal(signal.SIGSTOP if action == "hang" else signal.SIGCONT)

    def _do_demote(self, _: dict[str, Any]) -> None:
        self.servers.demote()

    def _do_move_slot(self, step: dict[str, Any]) -> None:
        self.servers.move_slot(step["key"], step.get("to"), step.get("half", False))

    def _do_acl(self, step: dict[str, Any]) -> None:
        for node in self.servers.nodes:
            node.call("ACL", "SETUSER", "app", *step["rules"].split())

    def _do_settle(self, step: dict[str, Any]) -> None:
        time.sleep(step["seconds"])

    def _do_events(self, step: dict[str, Any]) -> None:
        seen: list[str] = []

        def complete() -> bool:
            call = self._drivers[step.get("driver", "A")].send({"do": "events", "corral": step.get("corral", "c")})
            self._answered(call, ANSWER_DEADLINE)
            seen[:] = call.answer["value"]
            return set(step.get("contains", [])) <= set(seen)

        try:
            until("", complete, ANSWER_DEADLINE)
        except TimeoutError as error:
            raise Mismatch(f"wanted the events {step['contains']}, got {seen}") from error
        if unwanted := set(step.get("lacks", [])) & set(seen):
            raise Mismatch(f"there were the events {sorted(unwanted)}")

    def _do_repeat(self, step: dict[str, Any]) -> None:
        last: Exception | None = None
        for _ in range(step["times"]):
            try:
                self._take(step["until"])
                return
            except (Mismatch, ServerError, OSError) as error:
                last = error
            for inner in step["steps"]:
                self._take(inner)
        raise Mismatch(f"{step['times']} times, and still: {last}")

    # --- Texts with parts to be filled in ---

    def _filled(self, given: Any, number: int) -> Any:
        if isinstance(given, dict):
            return {name: self._filled(value, number) for name, value in given.items()}
        if isinstance(given, list):
            return [self._filled(value, number) for value in given]
        if not isinstance(given, str) or "$" not in given:
            return given
        given = given.replace("$i", str(number))
        given = re.sub(r"\$port\.(\d)", lambda match: str(self.servers.nodes[int(match[1])].port), given)
        return re.sub(r"\$(\w+)((?:\.\d+)*)", self._kept_part, given)

    def _kept_part(self, match: re.Match[str]) -> str:
        if match[1] not in self._kept:
            return match[0]
        value = self._kept[match[1]]
        for index in match[2].split(".")[1:]:
            value = value[int(index)]
        return str(value)


def _map(flat: list[Any]) -> dict[str, Any]:
    return dict(zip(flat[::2], flat[1::2]))
