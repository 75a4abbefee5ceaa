"""Where a network comes from: its run, or the file that it was read from."""

import hashlib
import pathlib
from typing import Any, NamedTuple

from repcon_jax.models import Network, parameter_count
from repcon_jax.records.files import read_json
from repcon_jax.records.workdir import describe_environment
from repcon_jax.run.networks import describe_network
from repcon_jax.weights.card import UNKNOWN, Card, flat_numbers

# Of a directory that ``import`` made: its card in plain values.
IMPORTED = "imported.json"
_MEASURED = ("probe", "test", "train", "distance")


class Run(NamedTuple):
    """What lies beside a checkpoint of a run.

    Attributes:
        config: the whole config; None where there is none.
        metrics: the member's numbers at the end of the run.
        history: what made it, and at which commit.
        imported: the card of what was imported; None where it is a run of ours.
    """

    config: dict[str, Any] | None
    metrics: dict[str, float]
    history: dict[str, str]
    imported: dict[str, Any] | None


def read_run(checkpoint: pathlib.Path) -> Run:
    """What lies beside a checkpoint ``RUN/checkpoints/MEMBER/STEP``, as far as it is there."""
    run, member = checkpoint.absolute().parents[2], checkpoint.absolute().parent.name
    config = _read(run / "config.json")
    results = _read(run / "members" / f"{member}.json") or _read(run / "results.json") or {}
    metrics = dict(flat_numbers({group: results[group] for group in _MEASURED if group in results}))
    starts = (_read(run / "environment.json") or {}).get("starts", [])
    history = {"trained": starts[-1]["command"], "trained at commit": starts[-1]["commit"]} if starts else {}
    return Run(config, metrics, history, _read(run / IMPORTED))


def card_of_run(network: Network, checkpoint: pathlib.Path, name: str, command: str, licence: str = UNKNOWN) -> Card:
    """The card of a network of a checkpoint.

    Args:
        network: that the checkpoint holds.
        checkpoint: a step's folder.
        name: what the card calls it.
        command: that exports it.
        licence: of the weights.
    """
    run = read_run(checkpoint)
    before = run.imported or {}
    data = (run.config["data"]["name"], *(s["name"] for s in run.config["sources"].values())) if run.config else ()
    title = f"{run.config['title']}. " if run.config else before.get("summary", "") + " "
    measured = " Its metrics were measured at the end of that run." if run.metrics else ""
    return Card(
        name=name,
        summary=f"{title}Exported from the checkpoint `{checkpoint}`.{measured}".lstrip(),
        network=describe_network(network, network.pixels.size),
        parameters=parameter_count(network.params),
        data=data,
        metrics=run.metrics,
        config=run.config,
        history={**before.get("history", {}), **run.history, **_made("exported", command)},
        licence=before.get("licence", UNKNOWN) if licence == UNKNOWN else licence,
    )


def card_of_file(network: Network, file: pathlib.Path, command: str, licence: str = UNKNOWN) -> Card:
    """The card of a network that was read from a file of another program."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return Card(
        name=file.stem,
        summary=f"Imported from `{file.name}` (SHA-256 {digest}).",
        network=describe_network(network, network.pixels.size),
        parameters=parameter_count(network.params),
        history=_made("imported", command),
        licence=licence,
    )


def _made(what: str, command: str) -> dict[str, str]:
    return {what: command, f"{what} at commit": describe_environment()["commit"]}


def _read(path: pathlib.Path) -> dict[str, Any] | None:
    return read_json(path) if path.exists() else None
