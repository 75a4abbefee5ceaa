"""Any config at a size that two steps of it take seconds."""

# XLA's convolution is one operation, which compiles far quicker than the nine slices that run faster.
SMALL = {
    "convolution": "xla",
    "width": 0.05,
    "blocks": (1, 1),
    "depth": 1,
    "num_stages": 2,
    "widths": (8,),
    "hidden_sizes": (8,),
    "bottleneck_size": 8,
    "output_size": 16,
}


def shrink(values):
    """The same plain config with a small model, 60 examples, two steps, and nothing after them."""
    for group in ("encoder", "head"):
        values[group] |= {name: value for name, value in SMALL.items() if name in values[group]}
    options = values["data"]["options"]
    if "num_examples" in options:
        options["num_examples"] = 60
    values["data"]["subset"] = 60
    values["probe"]["probes"] = ()
    values["population"] = {axis: tuple(given)[:2] for axis, given in values["population"].items()}
    values |= {"evaluate": False, "figures": False}
    return values | {"batch_size": 4, "duration": "2 steps", "log_every": "1 steps", "num_seeds": 1}


def shrink_landscape(values):
    """The same plain config of a landscape with small runs, few examples and four points."""
    for name, run in values["runs"].items():
        seeds = run["num_seeds"]
        values["runs"][name] = shrink(run) | {"num_seeds": seeds}
        values["runs"][name]["checkpoint"]["keep"] = ("1 steps",)
    few = {"resolution": (2, 2), "zooms": (), "num_points": 2, "iterations": 5, "trace_samples": 2}
    few |= {"eigenvalues": 2, "fisher_examples": 2}
    if values["analysis"].get("trajectory"):
        few["trajectory"] = tuple(f"distil/locality_1e-10__seed_0/{step}" for step in ("start", "1", "end"))
    values["analysis"] |= {name: value for name, value in few.items() if name in values["analysis"]}
    sizes = {"train_examples": 40, "test_examples": 30, "batch_size": 20, "recalibration_examples": 20}
    return values | sizes | {"figures": False}


def shrink_lottery(values):
    """The same plain config of a lottery: small runs, one round, few chains, two seeds where they are compared."""
    seeds = 2 if "agreement" in values["studies"] else 1
    values["training"], distil = (shrink(run) for run in (values["training"], values["runs"]["distil"]))
    values["training"]["num_seeds"] = distil["num_seeds"] = seeds
    distilled = {n: c for n, c in values["chains"].items() if c["start"].startswith("distil")}
    first = [] if values["studies"] or len(distilled) > 1 else list(values["chains"].items())[:1]
    chains = {n: c | {"iterations": min(c["iterations"], 2)} for n, c in [*first, *distilled.items()]}
    small = {"schedule": "one_shot(density=0.5)", "studied_rounds": (1,) if values["studied_rounds"] else ()}
    return values | small | {"figures": False} | {"runs": {"distil": distil}, "chains": chains}


def shrink_study(values):
    """The same plain config of a study: small runs, two of their seeds, two targets, few examples and shots."""
    seeds = {name: min(2, run["num_seeds"]) for name, run in values["runs"].items()}
    values["runs"] = {name: shrink(run) | {"num_seeds": seeds[name]} for name, run in values["runs"].items()}
    kept = {*list(values["targets"])[:1], *list(values["targets"])[-1:]}
    values["targets"] = {name: target for name, target in values["targets"].items() if name in kept}
    groups = {group: tuple(name for name in of if name in kept) for group, of in values["groups"].items()}
    values["groups"] = {group: of for group, of in groups.items() if len(of) > 1}
    for target in values["targets"].values():
        target["subset"] = 60
        if "num_examples" in target["options"]:
            target["options"]["num_examples"] = 60
    few = {"shots": (1, None) if None in values["shots"] else values["shots"][:2] and (1, 2)}
    few["draws"] = min(2, values["draws"])
    few["layers"] = (*values["layers"][:-1][:1], "embedding")
    return values | few | {"test_examples": 40, "recalibration_examples": 20, "batch_size": 20, "figures": False}


# How a config is made small, by its task.
SHRINK = {"training": shrink, "landscape": shrink_landscape, "lottery": shrink_lottery, "study": shrink_study}
