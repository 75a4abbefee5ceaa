"""What is left of a ticket as a smaller dense network."""

from typing import Any

from repcon_jax.figures.lottery.kind import KINDS, Kind, Results, Studies, ticket_cells
from repcon_jax.figures.tables import Rows


@KINDS.register("size")
def size() -> Kind:
    """Entries hold numbers of parameters, milliseconds of a pass, and the largest difference of a logit."""
    return Kind(_rows)


def _rows(results: Results, studies: Studies) -> Rows:
    def columns(entry: dict[str, Any]) -> list[str]:
        counts = [str(entry[name]) for name in ("parameters", "parameters_kept", "parameters_after_removal")]
        times = [f"{entry[name]:.2f}" for name in ("milliseconds", "milliseconds_after_removal")]
        return [*counts, *times, f"{entry['largest_difference']:.1e}"]

    names = ["parameters", "kept by the mask", "after removal", "ms a batch", "after removal", "largest difference"]
    return [["chain", "weights remaining (%)", *names], *ticket_cells(results, studies, columns)]
