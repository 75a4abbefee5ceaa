"""The numbers of landscapes as Markdown tables."""

from typing import Any

from repcon_jax.figures.landscapes.result_kinds import RESULT_KINDS, Table


def landscape_tables(results: dict[str, Any]) -> str:
    """The numbers of a landscape as Markdown.

    Args:
        results: of a kind of ``RESULT_KINDS``.
    Returns:
        The tables, one below the other.
    Raises:
        ConfigError: the results are of another kind.
    """
    tables = RESULT_KINDS.build(results["kind"]).tables(results)
    return "\n\n".join(_markdown(table) for table in tables if len(table) > 1)


def _markdown(table: Table) -> str:
    table = [table[0], ["---", *["---:"] * (len(table[0]) - 1)], *table[1:]]
    lines = [[cell.replace("|", "\\|") for cell in line] for line in table]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)
