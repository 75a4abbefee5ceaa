"""Several hosts as one program: how they meet, agree, and say the same sentence when something is wrong.

Every host runs the same command. Host 0 writes the work directory; the others only compute. Before JAX is initialised
the hosts call each other's roll over a plain socket, because JAX's own rendezvous ends in a crash where one is missing.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from repcon_jax.errors import ConfigError, UserError

# The fact of a host whose command is wrong, so that the others need not wait for it.
MISTAKE = "mistake"
_HEADER = 8


@dataclasses.dataclass(frozen=True)
class Hosts:
    """Where the hosts of a run meet.

    Args:
        coordinator: ``HOST:PORT`` of host 0; None where JAX finds the hosts itself (TPU pods, Slurm, Open MPI).
        num_processes: number of hosts.
        process_id: number of this one, from 0.
        timeout: seconds to wait for the others.
    """

    coordinator: str | None = None
    num_processes: int = 1
    process_id: int = 0
    timeout: float = 300.0

    def __post_init__(self) -> None:
        """Checks ranges and the address."""
        if self.coordinator is None:
            return
        host, _, port = self.coordinator.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            raise ConfigError(f"--coordinator is {self.coordinator!r} but must be HOST:PORT, such as 10.0.0.1:8476.")
        if self.num_processes < 1 or not 0 <= self.process_id < self.num_processes:
            raise ConfigError(
                f"--process_id is {self.process_id} of --num_processes {self.num_processes} but must lie in "
                f"[0, {self.num_processes - 1}]; number the hosts from 0."
            )

    @property
    def address(self) -> tuple[str, int]:
        """Host name and port of the coordinator."""
        host, _, port = str(self.coordinator).rpartition(":")
        return host, int(port)


def connect(hosts: Hosts, facts: dict[str, str]) -> None:
    """Makes this process one of several hosts.

    Args:
        hosts: where to meet.
        facts: texts that must be the same on every host, such as the config and the version of the code.
    Raises:
        ConfigError: a host did not come within the timeout, or the hosts differ in a fact; raised on every host.
    """
    import jax

    # Otherwise a lost peer aborts the process from C++; so its collective fails, and we can say what to do.
    jax.config.update("jax_enable_recoverability", _is_cpu_only())
    if hosts.coordinator is None:
        jax.distributed.initialize(initialization_timeout=round(hosts.timeout))
        _compare({i: json.loads(text) for i, text in enumerate(share(json.dumps(facts)))})
        return
    call_roll(hosts, facts)
    jax.distributed.initialize(
        hosts.coordinator, hosts.num_processes, hosts.process_id, initialization_timeout=round(hosts.timeout)
    )


def call_roll(hosts: Hosts, facts: dict[str, str]) -> None:
    """Waits until every host is there and holds the same facts; the address is free again afterwards.

    Raises:
        ConfigError: as ``connect``.
    """
    if hosts.process_id == 0:
        _receive_roll(hosts, facts)
    else:
        _answer_roll(hosts, facts)


def _receive_roll(hosts: Hosts, facts: dict[str, str]) -> None:
    deadline = time.monotonic() + hosts.timeout
    _, port = hosts.address
    present: dict[int, dict[str, str]] = {0: facts}
    connections: list[socket.socket] = []
    sentence = ""
    try:
        with socket.create_server(("", port)) as server:
            while len(present) < hosts.num_processes:
                server.settimeout(max(0.01, deadline - time.monotonic()))
                connection, _ = server.accept()
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                connections.append(connection)
                caller = _parsed(_receive(connection))
                if caller is None:
                    continue
                if caller["process_id"] in present or caller["num_processes"] != hosts.num_processes:
                    raise ConfigError(
                        f"a host calls itself number {caller['process_id']} of {caller['num_processes']}, which does "
                        f"not fit {hosts.num_processes} hosts with numbers of their own; correct --process_id."
                    )
                present[caller["process_id"]] = caller["facts"]
        _compare(present)
    except TimeoutError:
        missing = sorted(set(range(hosts.num_processes)) - set(present))
        sentence = (
            f"host {', '.join(map(str, missing))} of {hosts.num_processes} did not call {hosts.coordinator} within "
            f"{hosts.timeout:g} seconds; start the same command there, or correct --coordinator."
        )
    except OSError as error:
        sentence = f"--coordinator is {hosts.coordinator!r}, where host 0 cannot listen ({error}); give a free port."
    except ConfigError as error:
        sentence = str(error)
    finally:
        for connection in connections:
            with contextlib.suppress(OSError):
                _send(connection, sentence)
                connection.close()
    if sentence:
        raise ConfigError(sentence)


def _answer_roll(hosts: Hosts, facts: dict[str, str]) -> None:
    deadline = time.monotonic() + hosts.timeout
    call = {"process_id": hosts.process_id, "num_processes": hosts.num_processes, "facts": facts}
    reason: Any = "no answer"
    while (left := deadline - time.monotonic()) > 0:
        try:
            with socket.create_connection(hosts.address, timeout=left) as connection:
                connection.settimeout(left + 5)  # host 0 gives up first, and says which host is missing
                _send(connection, json.dumps(call))
                sentence = _receive(connection)
        except OSError as error:
            reason = error
            time.sleep(0.1)
            continue
        if sentence:
            raise ConfigError(sentence)
        return
    raise ConfigError(
        f"--coordinator is {hosts.coordinator!r}, which could not be reached within {hosts.timeout:g} seconds "
        f"({reason}); start host 0 with the same command, or correct the address."
    )


def _parsed(text: str) -> dict[str, Any] | None:
    """What a host says of itself; None for a stranger who happened to call this port."""
    with contextlib.suppress(ValueError):
        caller = json.loads(text)
        if isinstance(caller, dict) and {"process_id", "num_processes", "facts"} <= caller.keys():
            return caller
    return None


def _send(connection: socket.socket, text: str) -> None:
    payload = text.encode()
    connection.sendall(len(payload).to_bytes(_HEADER, "big") + payload)


def _receive(connection: socket.socket) -> str:
    length = int.from_bytes(_receive_bytes(connection, _HEADER), "big")
    return _receive_bytes(connection, length).decode()


def _receive_bytes(connection: socket.socket, count: int) -> bytes:
    received = b""
    while len(received) < count:
        part = connection.recv(count - len(received))
        if not part:
            raise ConnectionError("the other host hung up")
        received += part
    return received


def _compare(facts: dict[int, dict[str, str]]) -> None:
    for host, own in sorted(facts.items()):
        if MISTAKE in own:
            raise ConfigError(f"host {host}: {own[MISTAKE]}")
    for host, own in sorted(facts.items()):
        for name in sorted(facts[0]):
            if own.get(name) != facts[0][name]:
                raise ConfigError(
                    f"{name} is {own.get(name)!r} on host {host} and {facts[0][name]!r} on host 0 but must be the "
                    "same on every host; give all of them the same command and the same code."
                )


def facts_of(config: dict[str, Any]) -> dict[str, str]:
    """What must be the same on every host: each field of a plain config, and the code."""
    facts = {"the code's digest": code_version()}

    def add(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for name, entry in value.items():
                add(f"{prefix}.{name}" if prefix else name, entry)
        else:
            facts[prefix] = repr(value)

    add("", config)
    return facts


def code_version(folder: pathlib.Path = pathlib.Path(__file__).parents[1]) -> str:
    """A digest of this package's source, whether or not it comes from a git checkout.

    Args:
        folder: of the package.
    """
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*.py")):
        digest.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def leave(code: int) -> None:
    """Ends this process with an exit code, host 0 last, since JAX aborts a host that finds it gone.

    Args:
        code: of the exit.
    """
    import jax

    if not jax.distributed.is_initialized() or not jax.config.jax_enable_recoverability:
        sys.exit(code)  # JAX's own shutdown waits for all
    sys.stdout.flush()
    sys.stderr.flush()
    if not is_main():
        os._exit(code)
    time.sleep(1.0)
    sys.exit(code)


def is_lost_host(error: Exception) -> bool:
    """Whether an error says that a collective failed: JAX raises them as RuntimeError or ValueError, with a status."""
    return re.match(r"(UNKNOWN|UNAVAILABLE|ABORTED|INTERNAL|DEADLINE_EXCEEDED|CANCELLED): ", str(error)) is not None


def is_main() -> bool:
    """Whether this host is the one that writes."""
    import jax

    return jax.process_index() == 0


def share(text: str) -> list[str]:
    """The texts of all hosts, in order; every host must call it."""
    import jax
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return [text]
    payload = np.frombuffer(text.encode(), np.uint8)
    lengths = np.asarray(multihost_utils.process_allgather(np.int32(len(payload))))
    padded = np.zeros(max(1, int(lengths.max())), np.uint8)
    padded[: len(payload)] = payload
    rows = np.asarray(multihost_utils.process_allgather(padded))
    return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]


def from_main(value: Any) -> Any:
    """Host 0's JSON value on every host."""
    return json.loads(share(json.dumps(value) if is_main() else "")[0])


def tree_from_main(tree: Any) -> Any:
    """Host 0's tree of arrays on every host; the others give one of the same structure and shapes."""
    import jax
    from jax.experimental import multihost_utils

    return tree if jax.process_count() == 1 else multihost_utils.broadcast_one_to_all(tree)


def agree(pace: int, stop: bool) -> tuple[int, bool]:
    """Host 0's pace, and whether any host wants to stop."""
    import jax
    from jax.experimental import multihost_utils

    if jax.process_count() == 1:
        return pace, stop
    hosts = np.asarray(multihost_utils.process_allgather(np.array([pace, stop], np.int32)))
    return int(hosts[0, 0]), bool(hosts[:, 1].any())


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Within, a mistake that one host finds is raised on every host, so that none waits for another.

    Raises:
        UserError: this host's, or what another one found.
    """
    mine: UserError | None = None
    try:
        yield
    except UserError as error:
        mine = error
    sentences = share("" if mine is None else str(mine))
    if mine is not None:
        raise mine
    for host, sentence in enumerate(sentences):
        if sentence:
            raise ConfigError(f"host {host}: {sentence}")


def _is_cpu_only() -> bool:
    return os.environ.get("JAX_PLATFORMS", "") == "cpu" or not _has_accelerator()


def _has_accelerator() -> bool:
    # Asking JAX would initialise its devices, which must come after the hosts have met.
    patterns = ("nvidia[0-9]*", "accel[0-9]*", "vfio/[0-9]*")
    return any(True for pattern in patterns for _ in pathlib.Path("/dev").glob(pattern))
