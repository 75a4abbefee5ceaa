"""Markdown tables."""

from collections.abc import Sequence

Rows = list[list[str]]


def markdown(rows: Sequence[Sequence[str]], words: int = 0) -> str:
    """Rows of cells, the header first, as a table whose columns are padded to one width.

    Args:
        rows: of cells.
        words: number of columns, from the left, that are aligned to the left; the others hold numbers.

    >>> print(markdown([["probe", "accuracy"], ["knn", "97.77"]], words=1))
    | probe | accuracy |
    | ---   | ---:     |
    | knn   | 97.77    |
    """
    rule = ["---"] * words + ["---:"] * (len(rows[0]) - words)
    lines = [rows[0], rule, *rows[1:]]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)
