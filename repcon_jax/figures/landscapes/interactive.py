"""Planes as surfaces to turn, in one page that needs no other file and no network."""

import pathlib
from typing import Any

import numpy as np

from repcon_jax.figures.landscapes.drawing import axis_labels, width_over_height
from repcon_jax.figures.landscapes.scales import limits, numbers, scale_of
from repcon_jax.figures.landscapes.surfaces3d import height_label, heights, is_surface, points_inside
from repcon_jax.figures.landscapes.words import describe, number, slug, title_of
from repcon_jax.records.files import write_atomically

_SYMBOLS = ("circle", "square", "diamond", "cross", "x")


def write_pages(folder: pathlib.Path, results: dict[str, Any]) -> list[pathlib.Path]:
    """Writes ``plane_<grid>.html`` for every grid that is no line: a surface, with a menu of all metrics.

    Args:
        folder: for the pages.
        results: of kind ``plane``.
    Returns:
        Paths of the pages.
    """
    # Imported here because only these pages need it.
    import plotly.graph_objects

    written = []
    for grid in filter(is_surface, results["grids"]):
        figure = plotly.graph_objects.Figure(page_figure(results, grid))
        path = folder / f"plane_{slug(grid['name'])}.html"
        write_atomically(path, figure.to_html(include_plotlyjs=True, div_id="plane", config={"displaylogo": False}))
        written.append(path)
    return written


def page_figure(results: dict[str, Any], grid: dict[str, Any]) -> dict[str, Any]:
    """A page's figure as plain data: for every metric a surface and its points, of which the menu shows one pair.

    Args:
        results: of kind ``plane``.
        grid: one of its grids, with at least two points in both directions.
    """
    metrics = list(grid["values"])
    traces = [
        trace for metric in metrics for trace in (_surface(results, grid, metric), _points(results, grid, metric))
    ]
    for i, trace in enumerate(traces):
        trace["visible"] = i < 2
    buttons = [_button(results, metrics, metric) for metric in metrics]
    across, up = axis_labels(results)
    scene = {"xaxis": {"title": {"text": across}}, "yaxis": {"title": {"text": up}}, "aspectmode": "manual"}
    scene |= {
        "zaxis": {"title": {"text": height_label(scale_of(results, metrics[0]))}},
        "aspectratio": _aspect(results, grid),
    }
    title = {"text": f"{title_of(results, grid)}<br><sub>{describe(results)}</sub>", "x": 0.5, "xanchor": "center"}
    menu = {"buttons": buttons, "x": 0.0, "xanchor": "left", "y": 1.0, "yanchor": "bottom", "showactive": True}
    layout = {"title": title, "scene": scene, "updatemenus": [menu], "margin": {"l": 10, "r": 10, "b": 10, "t": 90}}
    return {"data": traces, "layout": layout}


def _surface(results: dict[str, Any], grid: dict[str, Any], metric: str) -> dict[str, Any]:
    scale = scale_of(results, metric)
    values = numbers(grid["values"][metric], scale.factor)
    low, _ = limits(values, scale.logarithmic)
    hovers = [[f"{number(value, scale)} {scale.unit}".strip() for value in row] for row in grid["values"][metric]]
    # The map's own colours, so that pages and pictures agree whatever names plotly gives to its scales.
    return {
        "type": "surface",
        "x": grid["x"],
        "y": grid["y"],
        "z": heights(grid["values"][metric], scale, low),
        "hovertext": hovers,
        "hoverinfo": "x+y+text",
        "colorscale": _colours(scale.colours),
        "colorbar": {"title": {"text": height_label(scale), "side": "right"}, "thickness": 16},
    }


def _points(results: dict[str, Any], grid: dict[str, Any], metric: str) -> dict[str, Any]:
    scale = scale_of(results, metric)
    low, _ = limits(numbers(grid["values"][metric], scale.factor), scale.logarithmic)
    points = [point for point in points_inside(results, grid) if point["values"].get(metric) is not None]
    names = [point["name"] for point in points]
    values = [point["values"][metric] for point in points]
    hovers = [_hover(results, metric, point["coordinates"], value) for point, value in zip(points, values, strict=True)]
    marker = {"size": 6, "color": "white", "line": {"color": "black", "width": 2}}
    return {
        "type": "scatter3d",
        "mode": "markers+text",
        "x": [point["coordinates"][0] for point in points],
        "y": [point["coordinates"][1] for point in points],
        "z": heights(values, scale, low),
        "text": names,
        "textposition": "top center",
        "hovertext": [f"<b>{name}</b><br>{hover}" for name, hover in zip(names, hovers, strict=True)],
        "hovertemplate": "%{hovertext}<extra></extra>",
        "marker": {**marker, "symbol": [_SYMBOLS[i % len(_SYMBOLS)] for i in range(len(points))]},
        "showlegend": False,
    }


def _button(results: dict[str, Any], metrics: list[str], chosen: str) -> dict[str, Any]:
    visible = [metric == chosen for metric in metrics for _ in range(2)]
    scale = scale_of(results, chosen)
    update = [{"visible": visible}, {"scene.zaxis.title.text": height_label(scale)}]
    return {"label": scale.title, "method": "update", "args": update}


def _hover(results: dict[str, Any], metric: str, place: Any, value: float | None) -> str:
    scale = scale_of(results, metric)
    (across, up), (x, y) = axis_labels(results), place
    unit = f" {scale.unit}" if scale.unit else ""
    return f"{across}: {x:.4g}<br>{up}: {y:.4g}<br>{scale.title}: {number(value, scale)}{unit}"


def _aspect(results: dict[str, Any], grid: dict[str, Any]) -> dict[str, float]:
    ratio = width_over_height(results, grid["x"], grid["y"])
    return {"x": ratio**0.5, "y": ratio**-0.5, "z": 0.6}


def _colours(name: str) -> list[tuple[float, str]]:
    import matplotlib

    samples = matplotlib.colormaps[name](np.linspace(0, 1, 17))
    return [(i / 16, matplotlib.colors.to_hex(colour)) for i, colour in enumerate(samples)]
