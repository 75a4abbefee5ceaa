"""``report.md`` of a study."""

import pathlib
import statistics
from collections.abc import Iterable

from repcon_jax.figures.study.places import Results, meaning, means_of, short_name
from repcon_jax.figures.study.tables import shots_in_words, study_tables
from repcon_jax.figures.tables import markdown
from repcon_jax.records.files import write_atomically


def write_study_report(workdir: pathlib.Path, results: Results, pictures: Iterable[pathlib.Path]) -> pathlib.Path:
    """Writes ``report.md`` with the tables and the pictures.

    Args:
        workdir: of the study.
        results: of it.
        pictures: in the folder ``figures/`` of the work directory.
    Returns:
        Path of the report.
    """
    sections = [
        f"# {results['title']}",
        " ".join(filter(None, [_spread(results), _shots(results), _differences(results), _claims(results)])),
        _about(results),
        _data(results),
        study_tables(results),
        _chosen(results),
        *(f"![{picture.stem}](figures/{picture.name})" for picture in pictures),
    ]
    path = workdir / "report.md"
    write_atomically(path, "\n\n".join(filter(None, sections)) + "\n")
    return path


def _spread(results: Results) -> str:
    seeds, draws = results["seeds"], results["draws"]
    drawn = f"{draws} draws of training examples" if draws > 1 else ""
    if len(seeds) > 1:
        over = f"the seeds {', '.join(map(str, seeds))}"
        averaged = f", each first averaged over {drawn} (of a network without seeds, over these)" if drawn else ""
        return f"Means ± half of their 95% interval (Student's t) over {over}{averaged}."
    if drawn:
        return f"Means ± half of their 95% interval (Student's t) over {drawn}, with one network each."
    return "One network and one draw each, so no intervals."


def _shots(results: Results) -> str:
    return "Shots are training examples of each class." if results["shots"] else ""


def _differences(results: Results) -> str:
    if not results["differences"]:
        return ""
    return "Differences are taken in pairs of one seed and draw, and are bold where 0 lies outside of their interval."


def _claims(results: Results) -> str:
    if not results["claims"]:
        return ""
    return (
        "A claim holds where the whole interval of the difference is beyond its threshold, fails where none of it "
        "is and is undecided otherwise; thresholds are in plain units: 0.01 of an accuracy is one percentage point."
    )


def _data(results: Results) -> str:
    """What the targets are, with digests of their examples, so that two reports can be compared."""
    rows = [["target", "data set", "classes", "training examples", "test examples", "digests"]]
    for name, data in results.get("data", {}).items():
        parts, digests = ([data[what].get(part, "") for part in ("train", "test")] for what in ("examples", "digests"))
        rows.append([name, data["name"], str(data["classes"]), *map(str, parts), ", ".join(digests)])
    groups = "; ".join(f"`{group}` is the mean over {', '.join(of)}" for group, of in results.get("groups", {}).items())
    return "\n\n".join(filter(None, [markdown(rows, words=2) if len(rows) > 1 else "", f"{groups}." if groups else ""]))


def _chosen(results: Results) -> str:
    """What was chosen and seen on the way to the values, network by network, over all targets."""
    seen: dict[tuple[str, str, str, str], list[dict[str, float]]] = {}
    for name, means in means_of(results, 1).items():
        for mean in means:
            for detail, spread in mean.get("details", {}).items():
                place = short_name(results, name), mean["networks"][0], shots_in_words(mean["shots"]), detail
                seen.setdefault(place, []).append(spread)
    rows = [["measurement", "network", "shots", "detail", "median", "from", "to"]]
    for place, spreads in seen.items():
        ends = min(one["low"] for one in spreads), max(one["high"] for one in spreads)
        middle = statistics.median(one["median"] for one in spreads)
        rows.append([*place, *(f"{number:.4g}" for number in (middle, *ends))])
    if len(rows) == 1:
        return ""
    told = (
        "What was chosen and seen on the way: the median of the targets' medians, and the range over all of them, seeds"
    )
    return f"{told} and draws:\n\n{markdown(rows, words=4)}"


def _about(results: Results) -> str:
    """How scores are measured, where they say so."""
    meanings = {short_name(results, name): meaning(results, name) for name in results["scores"]}
    return "\n".join(f"- `{name}`: {score.about}." for name, score in meanings.items() if score.about)
