"""Real servers, in the shapes that scenarios name: standalone, replica, cluster, sentinel."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import processes
from wire import Connection, ServerError, slot_of

SERVER = os.environ.get("CORRAL_SERVER", "redis-server")
MODULE = os.path.realpath(os.environ.get("CORRAL_MODULE", "target/release/libcorral.so"))
SERVICE = "corral"
ACL = Path(__file__).with_name("acl.txt").read_text().split()
DEADLINE = 60.0


def until(what: str, condition: Callable[[], Any], deadline: float = DEADLINE) -> Any:
    """Waits for the condition; what it raises meanwhile is said if it never comes."""
    end, why = time.monotonic() + deadline, ""
    while True:
        try:
            result = condition()
            if result:
                return result
        except (OSError, ServerError) as error:
            why = f" ({error})"
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {deadline:g} s{why}")
        time.sleep(0.02)


def server_version() -> str:
    """As `Redis 7.0.15`."""
    said = subprocess.run([SERVER, "--version"], capture_output=True, text=True, check=True).stdout
    return " ".join(re.match(r"(\w+) server v=(\S+)", said).groups())  # type: ignore[union-attr]


def free_port() -> int:
    """Below the ports that the system gives out by itself, so that nobody is given it meanwhile."""
    while True:
        port = random.randrange(12000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


class NotHere(Exception):
    """A scenario needs what this machine does not have."""


class PortTaken(RuntimeError):
    """Somebody took it between the choice and the start."""


class Server:
    def __init__(self, *options: str, module: bool = True, sentinel: str | None = None) -> None:
        self._directory = tempfile.mkdtemp(prefix="corral-conformance-")
        self._options = list(options)
        self._module = module
        self._sentinel = sentinel
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None
        for attempt in range(5):
            self.port = free_port()
            try:
                return self.start()
            except PortTaken:
                if attempt == 4:
                    raise

    def start(self) -> None:
        command = [SERVER]
        if self._sentinel is not None:
            config = Path(self._directory, "sentinel.conf")
            if not config.exists():
                config.write_text(self._sentinel)
            command += [str(config), "--sentinel"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._directory]
        if self._sentinel is None:
            command += ["--save", "", "--appendonly", "no", *self._options]
            if self._module:
                command += ["--loadmodule", MODULE]
        with open(Path(self._directory, "log"), "ab") as log:
            self._process = processes.start(command, self._directory, stdout=log, stderr=log)
        until(f"{SERVER} on port {self.port} starts", self._is_up)

    def _is_up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            kind = PortTaken if "Address already in use" in self.log() else RuntimeError
            raise kind(f"{SERVER} ended:\n{self.log()}")
        # Whoever answers may be another, who has the port; then this one ends soon.
        answers = self.info("server")["process_id"] == str(self._process.pid)
        if not answers:
            self._connection = None
        return answers

    def call(self, *arguments: Any) -> Any:
        for attempt in range(2):
            if self._connection is None:
                self._connection = Connection(self.port)
            try:
                return self._connection.call(*arguments)
            except OSError:
                self._connection = None
                if attempt:
                    raise

    def call_beside(self, *arguments: Any) -> None:
        """Not waited for, over a connection of its own."""

        def call() -> None:
            try:
                Connection(self.port, timeout=60).call(*arguments)
            except (OSError, ServerError):
                pass  # a script that was killed says so

        threading.Thread(target=call, daemon=True).start()

    def stop(self, how: int = signal.SIGTERM) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def log(self) -> str:
        return Path(self._directory, "log").read_text(errors="replace")[-1500:]

    def remove(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self._directory, ignore_errors=True)

    def info(self, section: str) -> dict[str, str]:
        lines = self.call("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


class Tls:
    """A second port of a server, with a certificate that signs itself."""

    def __init__(self) -> None:
        if shutil.which("openssl") is None:
            raise NotHere("openssl")
        self._directory = tempfile.mkdtemp(prefix="corral-conformance-")
        self.certificate = str(Path(self._directory, "certificate.pem"))
        key, port = str(Path(self._directory, "key.pem")), free_port()
        asked = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        named = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2"]
        subprocess.run([*asked, *named, "-keyout", key, "-out", self.certificate], check=True, capture_output=True)
        files = ["--tls-cert-file", self.certificate, "--tls-key-file", key, "--tls-ca-cert-file", self.certificate]
        self.options = ["--tls-port", str(port), *files, "--tls-auth-clients", "no"]
        self.url = f"rediss://127.0.0.1:{port}"

    def remove(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class Servers:
    """One topology, and what a driver is told of it."""

    def __init__(
        self, topology: str, module: bool, settings: dict[str, str], spare: bool = False, tls: bool = False
    ) -> None:
        self.topology, self._spare = topology, spare
        self._tls = Tls() if tls else None
        self.nodes: list[Server] = []
        self.sentinel: Server | None = None
        options = [
            word for name, value in settings.items() if not name.startswith("corral.") for word in (f"--{name}", value)
        ]
        try:
            self._build(options, module)
            for node in self.nodes:
                for name, value in settings.items():
                    if name.startswith("corral."):
                        node.call("CONFIG", "SET", name, value)
        except BaseException:
            self.remove()
            raise

    def _build(self, options: list[str], module: bool) -> None:
        if self.topology == "standalone":
            self.nodes = [self._with_tls(options, module) if self._tls else Server(*options, module=module)]
        elif self.topology in ("replica", "sentinel"):
            master = Server(*options, module=module)
            self.nodes = [master]
            self.nodes.append(Server(*options, "--replicaof", "127.0.0.1", str(master.port), module=module))
            until("the replica is linked", lambda: self.nodes[1].info("replication").get("master_link_status") == "up")
            if self.topology == "sentinel":
                self.sentinel = Server(
                    sentinel=f"sentinel monitor {SERVICE} 127.0.0.1 {master.port} 1\n"
                    f"sentinel down-after-milliseconds {SERVICE} 2000\nsentinel failover-timeout {SERVICE} 10000\n"
                )
                until("the sentinel knows the replica", self._sentinel_is_ready)
        elif self.topology == "cluster":
            self._build_cluster(options, module)
        else:
            raise ValueError(f"no topology {self.topology!r}")

    def _with_tls(self, options: list[str], module: bool) -> Server:
        assert self._tls is not None
        try:
            return Server(*options, *self._tls.options, module=module)
        except RuntimeError as error:
            if "tls" not in str(error).lower():
                raise
            raise NotHere(f"TLS in {SERVER}") from error

    def _sentinel_is_ready(self) -> bool:
        assert self.sentinel is not None
        rows = self.sentinel.call("SENTINEL", "replicas", SERVICE)
        rows = [dict(zip(row[::2], row[1::2])) for row in rows]
        return len(rows) == 1 and rows[0]["master-link-status"] == "ok"

    def _build_cluster(self, options: list[str], module: bool) -> None:
        for _ in range(4 if self._spare else 3):
            bus = free_port()
            cluster = ["--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "6000"]
            self.nodes.append(Server(*options, *cluster, module=module))
            self.nodes[-1].bus = bus  # type: ignore[attr-defined]
        bounds = [0, 5461, 10923, 16384]
        for number, node in enumerate(self.nodes):
            if number < 3:
                node.call("CLUSTER", "ADDSLOTSRANGE", bounds[number], bounds[number + 1] - 1)
            node.call("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number:
                first = self.nodes[0]
                node.call("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)  # type: ignore[attr-defined]
        names = {node.call("CLUSTER", "MYID") for node in self.nodes}
        until("the cluster is whole", lambda: all(self._is_whole(node, names) for node in self.nodes))

    def _is_whole(self, node: Server, names: set[str]) -> bool:
        """Every node, the one without slots too, is known by its name: SETSLOT takes no other."""
        state = node.call("CLUSTER", "INFO")
        masters = {tuple(row[2][:2]) for row in node.call("CLUSTER", "SLOTS")}
        known = {line.split()[0] for line in node.call("CLUSTER", "NODES").splitlines() if "handshake" not in line}
        return "cluster_state:ok" in state and len(masters) == 3 and names <= known

    # --- Before the first step ---

    def module_has(self, word: str) -> bool:
        """A command, or an option as CACHE.VERSION says it."""
        node = self.nodes[0]
        if " " not in word:
            return bool(node.call("COMMAND", "INFO", word)[0])
        try:
            told = node.call("CACHE.VERSION")
        except ServerError:
            return False
        options = dict(zip(told[::2], told[1::2])).get("options", [])
        return word.lower() in [option.lower() for option in options]

    def make_user(self, rules: str) -> None:
        """`documented` is the documented line, but for commands that this build of the module does not have."""
        words = rules.replace("documented", " ".join(ACL[3:]).replace("PASSWORD", "secret")).split()
        for node in self.nodes:
            for word in ["reset", *words]:
                try:
                    node.call("ACL", "SETUSER", "app", word)
                except ServerError as error:
                    if not re.match(r"[+-]cache\.", word):
                        raise ValueError(f"ACL SETUSER app {word}: {error}") from error

    # --- Who has what ---

    def of_key(self, key: str) -> Server:
        if self.topology != "cluster":
            return self.nodes[0]
        slot = slot_of(key)
        for first, last, (_, port, *_), *_ in self.nodes[0].call("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == port)
        raise LookupError(f"slot {slot} is served by nobody")

    def for_driver(self, user: str | None) -> dict[str, Any]:
        credentials = f"{user}@" if user else ""
        return {
            "topology": self.topology,
            "url": self._tls.url if self._tls else f"redis://{credentials}127.0.0.1:{self.nodes[0].port}",
            "nodes": [f"127.0.0.1:{node.port}" for node in self.nodes],
            "sentinels": [f"127.0.0.1:{self.sentinel.port}"] if self.sentinel else [],
            "service": SERVICE,
            **({"ca": self._tls.certificate} if self._tls else {}),
        }

    # --- What is done to them ---

    def demote(self) -> None:
        first, second = self.nodes
        if self.sentinel is None:
            second.call("REPLICAOF", "NO", "ONE")
            first.call("REPLICAOF", "127.0.0.1", second.port)
        else:
            self.sentinel.call("SENTINEL", "FAILOVER", SERVICE)
            wanted = str(second.port)
            until(
                "the sentinel names the new master",
                lambda: self.sentinel.call("SENTINEL", "get-master-addr-by-name", SERVICE)[1] == wanted,
            )
        until("the old master is a replica", lambda: first.info("replication")["role"] == "slave", 40)

    def move_slot(self, key: str, to: int | None, half: bool) -> None:
        """As redis-cli does it: key by key, while the slot is open on both sides; half way, it is left open."""
        slot, source = slot_of(key), self.of_key(key)
        target = self.nodes[(self.nodes.index(source) + 1) % 3 if to is None else to]
        names = {node: node.call("CLUSTER", "MYID") for node in self.nodes}
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", names[source])
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", names[target])
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        if half:
            return
        for node in (target, source, *self.nodes):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", names[target])

    def remove(self) -> None:
        if self._tls is not None:
            self._tls.remove()
        for server in [*self.nodes, *([self.sentinel] if self.sentinel else [])]:
            server.remove()
