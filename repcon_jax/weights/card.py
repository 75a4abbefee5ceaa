"""The model card of a network: what it is, what it was trained on and how well it did, in Markdown."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Card:
    """What a model card says.

    Args:
        name: of the network.
        summary: sentences on where it comes from.
        network: its description, as ``run.networks.describe_network`` gives it.
        parameters: their number.
        data: names of the data sets that it was trained on.
        metrics: numbers by name, measured at the end of its run.
        config: of its run; None where it comes from elsewhere.
        history: commands and commits, by what they did.
        licence: of the weights, an identifier of SPDX or of the Hugging Face hub.
    """

    name: str
    summary: str
    network: Mapping[str, Any]
    parameters: int
    data: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    config: Mapping[str, Any] | None = None
    history: Mapping[str, str] = field(default_factory=dict)
    licence: str = UNKNOWN


def write_card(card: Card) -> str:
    """The card in Markdown, with the header that model hubs read.

    >>> card = Card("a", "From a test.", {"model": {}}, 3, data=("digits",))
    >>> "| parameters | 3 |" in write_card(card), "digits: look up its licence" in write_card(card)
    (True, True)
    """
    sections = [
        f"---\nlicense: {card.licence}\nlibrary_name: repcon_jax\n---",
        f"# {card.name}",
        card.summary,
        "## Network",
        _table("of the network", "value", {"parameters": card.parameters, **_rows(card.network)}),
        "## Data",
        _data(card.data),
        "## Metrics",
        _table("metric", "value", card.metrics) if card.metrics else "None are known.",
        "## Licence",
        _licence(card.licence),
        "## Made by",
        _table("step", "how", {name: f"`{text}`" for name, text in card.history.items()}),
    ]
    if card.config is not None:
        sections += ["## Config", f"```json\n{json.dumps(card.config, indent=2)}\n```"]
    return "\n\n".join(sections) + "\n"


def flat_numbers(values: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """The numbers in nested mappings, by names joined with dots.

    >>> dict(flat_numbers({"test": {"loss": 0.5, "note": "x", "ok": True}}))
    {'test.loss': 0.5}
    """
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from flat_numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(values, (int, float)) and not isinstance(values, bool):
        yield name, values


def _rows(network: Mapping[str, Any]) -> dict[str, Any]:
    """Kinds, names and options of all parts, and the pixels, a row each."""
    rows: dict[str, Any] = {}

    def visit(model: Mapping[str, Any], place: str) -> None:
        if model.get("name"):
            rows[place] = model["name"]
            rows.update({f"{place}.{name}": value for name, value in model["options"].items()})
        for name, part in model.get("parts", {}).items():
            visit(part, name)

    visit(network["model"], "model")
    return rows | {f"pixels.{name}": value for name, value in network.get("pixels", {}).items()}


def _table(left: str, right: str, rows: Mapping[str, Any]) -> str:
    lines = [f"| {left} | {right} |", "| --- | --- |"]
    lines += [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in rows.items()]
    return "\n".join(lines)


def _data(names: tuple[str, ...]) -> str:
    if not names:
        return "Unknown; look it up where the weights come from."
    return "\n".join(f"- {name}: look up its licence before you pass the weights on" for name in names)


def _licence(licence: str) -> str:
    if licence == UNKNOWN:
        return "Unknown; look it up where the weights and their data come from, before you use or publish them."
    return f"{licence}, as given by whoever wrote this file."
