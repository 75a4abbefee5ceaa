"""``report.md`` of a landscape: its numbers and pictures on one page."""

import pathlib
from collections.abc import Iterable
from typing import Any

from repcon_jax.figures.landscapes.tables import landscape_tables
from repcon_jax.figures.landscapes.words import describe
from repcon_jax.records.files import write_atomically


def write_landscape_report(
    workdir: pathlib.Path, results: dict[str, Any], drawn: Iterable[pathlib.Path]
) -> pathlib.Path:
    """Writes ``report.md``.

    Args:
        workdir: of the landscape.
        results: of a kind of ``RESULT_KINDS``.
        drawn: pictures and interactive pages in the folder ``figures/`` of the work directory.
    Returns:
        Path of the report.
    Raises:
        ConfigError: the results are of another kind.
    """
    # The plane of which others are crops comes first.
    drawn = sorted(drawn, key=lambda path: ("whole" not in path.stem, path.name))
    pages, pictures = ([path for path in drawn if path.suffix == kind] for kind in (".html", ".png"))
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
