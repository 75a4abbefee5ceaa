"""The floors of the house: every room imports only rooms below it, and no two rooms import each other.

It reads the imports of every file, those inside functions and for type checkers included.
"""

import ast
import itertools
import pathlib
from graphlib import CycleError, TopologicalSorter

import repcon_jax

ROOT = pathlib.Path(repcon_jax.__file__).parent
# From the ground up; rooms of one row do not import each other. A new room goes above all rooms that it imports. Rooms
# of ``tasks`` count one by one.
FLOORS = (
    ("errors", "random", "moved"),
    ("typing",),
    ("trees", "losses", "derivatives"),
    ("options",),
    ("machine",),
    ("records",),
    ("data",),
    ("models",),
    ("training", "dynamics", "symmetry", "adapters"),
    ("probing",),
    ("transfer", "merging"),
    ("landscape", "consolidation"),
    ("lottery",),
    ("objectives",),
    ("figures",),
    ("run",),
    ("tasks", "weights"),
    ("tasks.training", "tasks.landscape"),
    ("tasks.lottery", "tasks.study"),
    ("__main__",),
)
# Figures know results alone, so that any results file can be drawn.
FIGURES_IMPORT = {"errors", "options", "records", "typing"}
MOST_MODULES_AT_THE_TOP = 8


def module_of(path):
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


FILES = {module_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def room_of(module):
    """The room of a module, None for the package itself."""
    parts = module.split(".")[1:]
    if not parts:
        return None
    return ".".join(parts[:2]) if parts[0] == "tasks" else parts[0]


def imports_of(module):
    """The modules of this package that a module imports, with the line of each."""
    tree = ast.parse(FILES[module].read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{FILES[module]}:{node.lineno} imports relatively; write the whole name."
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in FILES else node.module for name in submodules]
        else:
            continue
        yield from ((name, node.lineno) for name in names if name.split(".")[0] == "repcon_jax")


def arrows():
    """(room, imported room, place) for every import from one room to another."""
    for module, path in FILES.items():
        for name, line in imports_of(module):
            room, other = room_of(module), room_of(name)
            if other is not None and room != other:
                yield room or "the package itself", other, f"{path.relative_to(ROOT.parent)}:{line}"


ARROWS = list(arrows())
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}


def test_imports_are_read():
    assert ("probing", "models") in {arrow[:2] for arrow in ARROWS}
    assert ("tasks.lottery", "run") in {arrow[:2] for arrow in ARROWS}
    assert len(ARROWS) > 300


def test_every_room_has_a_floor():
    rooms = {room_of(module) for module in FILES} - {None}
    assert rooms <= FLOOR.keys(), (
        f"no floor is given for {', '.join(sorted(rooms - FLOOR.keys()))}; put it into FLOORS in {__file__}, above all "
        "rooms that it imports and below all that import it."
    )


def test_a_room_imports_only_rooms_below_it():
    upwards = [
        f"{place}: {room} imports {other}, which does not lie below it"
        for room, other, place in ARROWS
        if FLOOR[other] >= FLOOR.get(room, 1)
    ]
    assert not upwards, (
        "\n".join(upwards) + "\nMove what is shared down to a room below both, hand it in as an argument, or register "
        "it with a registry below; if a whole room belongs elsewhere, correct FLOORS."
    )


def test_no_rooms_import_each_other_in_a_circle():
    graph = TopologicalSorter()
    for room, other, _ in ARROWS:
        graph.add(room, other)
    try:
        graph.prepare()
    except CycleError as error:
        circle = error.args[1]
        places = [f"  {place}: {a} imports {b}" for a, b, place in ARROWS if (b, a) in set(itertools.pairwise(circle))]
        raise AssertionError(
            f"the rooms {', '.join(circle)} import each other:\n" + "\n".join(places) + "\nOpen the circle: move what "
            "two of them share to a room below both."
        ) from None


def test_nothing_below_the_shell_knows_it():
    known = [place for room, other, place in ARROWS if other == "run" and FLOOR.get(room, 1) <= FLOOR["run"]]
    assert not known, (
        f"{', '.join(known)} import repcon_jax.run; take arrays, networks or functions as arguments instead of configs."
    )


def test_records_and_figures_know_neither_the_shell_nor_tasks():
    for room in ("records", "figures"):
        wrong = [place for a, b, place in ARROWS if a == room and b.split(".")[0] in ("run", "tasks")]
        assert not wrong, f"{', '.join(wrong)}: {room} must read what lies on disk, and nothing of run/ or tasks/."
    wrong = [f"{place} ({b})" for a, b, place in ARROWS if a == "figures" and b not in FIGURES_IMPORT]
    assert not wrong, (
        f"figures import {', '.join(wrong)}; put what they need into the results, or let them read it from records."
    )


def test_few_modules_stand_at_the_top():
    modules = sorted(path.name for path in ROOT.glob("*.py") if path.name != "__init__.py")
    assert len(modules) <= MOST_MODULES_AT_THE_TOP, (
        f"{', '.join(modules)} stand at the top of repcon_jax/, at most {MOST_MODULES_AT_THE_TOP} may; put a new one "
        "into the room that uses it, or open a room."
    )
