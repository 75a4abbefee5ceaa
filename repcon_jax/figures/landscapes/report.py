"""``report.md`` of a landscape: its numbers and pictures on one page."""

import pathlib
from typing import Any

from repcon_jax.figures.landscapes.tables import landscape_tables
from repcon_jax.figures.landscapes.words import describe
from repcon_jax.records.files import write_atomically


def write_landscape_report(workdir: pathlib.Path, results: dict[str, Any]) -> pathlib.Path:
    """Writes ``report.md``.

    Args:
        workdir: with ``figures/``, if anything was drawn.
        results: of a kind of ``RESULT_KINDS``.
    Returns:
        Path of the report.
    Raises:
        ConfigError: the results are of another kind.
    """
    # The plane of which others are crops comes first.
    pages, pictures = (
        sorted((workdir / "figures").glob(f"*.{kind}"), key=lambda path: ("whole" not in path.stem, path.name))
        for kind in ("html", "png")
    )
    sections = [
        f"# {results['title']}",
        " · ".join(filter(None, [f"kind: {results['kind']}", describe(results)])),
        landscape_tables(results),
        "\n".join(f"- [{page.stem.replace('_', ' ')}, to turn](figures/{page.name})" for page in pages),
        *(f"![{picture.stem}](figures/{picture.name})" for picture in pictures),
    ]
    path = workdir / "report.md"
    write_atomically(path, "\n\n".join(section for section in sections if section) + "\n")
    return path
