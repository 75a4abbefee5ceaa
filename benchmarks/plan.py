"""What is measured, by kind of machine."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Case:
    """One step that competitors are compared on.

    Args:
        encoder: registered name.
        batch_size: images per step of a member.
        members: sizes of our populations; 1 comes first and is what PyTorch is compared with. None where only our step
            that does PyTorch's work is measured.
        dtype: of the computation.
        rivals: PyTorch's modes, ``eager`` and ``compile``.
        starts: whether first steps are timed, cold and cached; all competitors then start one after another.
    """

    encoder: str
    batch_size: int
    members: tuple[int, ...] = (1,)
    dtype: str = "float32"
    rivals: tuple[str, ...] = ("eager", "compile")
    starts: bool = False


@dataclasses.dataclass(frozen=True)
class Plan:
    """Everything that is measured.

    Args:
        outputs: of the head.
        num_images: in memory.
        repeats: turns of every competitor.
        turn_seconds: about how long a turn lasts.
        steps_per_call: the fewest steps of our turns where a step is timed. A turn is one call of our program. A
            run's calls last five seconds, or four steps where these take no more than twenty seconds, so that what a
            call costs, such as memory that is faulted in anew on a CPU, is not to be counted as what a step costs.
        cases: of the step rate.
        agreement: encoders whose counts and logits are compared with PyTorch's before anything is timed.
        scaling: the case, laid over ``devices`` devices; None where there is only one device.
        devices: numbers of devices.
        simulated: whether the devices are simulated on the CPU.
        sweep: the case of the alpha sweep, with ``alphas`` times ``seeds`` members.
        sweep_seconds: about how long its turns last, longer for the reason of ``steps_per_call``.
        probe_train, probe_test: examples of the probes, whose features have the size of VGG11's.
        probes: what is measured of the probing room.
        features: encoder and batch size of the feature extraction.
        matmul: side of the matrices, and types.
        plane: encoder, batch size and number of points of the landscape, each measured on two batches.
    """

    outputs: int
    num_images: int
    repeats: int
    turn_seconds: float
    steps_per_call: int
    cases: tuple[Case, ...]
    agreement: tuple[str, ...]
    scaling: Case | None
    devices: tuple[int, ...]
    simulated: bool
    sweep: Case
    sweep_seconds: float
    alphas: int
    seeds: int
    probe_train: int
    probe_test: int
    probes: tuple[str, ...]
    features: tuple[str, int]
    matmul: tuple[int, tuple[str, ...]]
    plane: tuple[str, int, int]


CPU = Plan(
    outputs=4096,
    num_images=10_000,
    repeats=3,
    turn_seconds=0.8,
    steps_per_call=3,
    cases=(
        Case("mlp", 128, (1, 4), rivals=("eager",)),
        Case("vit_tiny", 128, (), rivals=("eager",)),
        Case("vgg11", 128, starts=True),
        Case("resnet18", 128),
    ),
    agreement=("mlp", "vgg11", "resnet18", "vit_tiny"),
    scaling=Case("mlp", 64),
    devices=(1, 8),
    simulated=True,
    sweep=Case("mlp", 128, rivals=("eager",)),
    sweep_seconds=4.0,
    alphas=11,
    seeds=1,
    probe_train=10_000,
    probe_test=2_000,
    probes=("features", "linear", "knn"),
    features=("vgg11", 256),
    matmul=(2048, ("float32",)),
    plane=("vgg11", 256, 2),
)

# Batch 256 too, and the step of a run for every encoder.
CPU_LONG = dataclasses.replace(
    CPU,
    cases=(
        Case("mlp", 128, (1, 4), rivals=("eager",)),
        Case("vit_tiny", 128, rivals=("eager",)),
        Case("vgg11", 128, starts=True),
        Case("vgg11", 256),
        Case("resnet18", 128),
        Case("resnet18", 256),
    ),
)

GPU = Plan(
    outputs=65_536,
    num_images=50_000,
    repeats=5,
    turn_seconds=1.0,
    steps_per_call=1,
    cases=(
        Case("vgg11", 256, starts=True),
        Case("vgg11", 256, (1, 2, 4, 8), "bfloat16"),
        Case("resnet18", 256, starts=True),
        Case("resnet18", 256, (1, 2), "bfloat16"),
    ),
    agreement=("mlp", "vgg11", "resnet18", "vit_tiny"),
    scaling=None,
    devices=(1,),
    simulated=False,
    sweep=Case("vgg11", 256, dtype="bfloat16"),
    sweep_seconds=5.0,
    alphas=11,
    seeds=3,
    probe_train=50_000,
    probe_test=10_000,
    probes=("features", "linear", "knn"),
    features=("vgg11", 256),
    matmul=(8192, ("float32", "tf32", "bfloat16")),
    plane=("vgg11", 256, 16),
)

# A look that everything works, in seconds and without PyTorch; its numbers say nothing about speed.
QUICK = Plan(
    outputs=64,
    num_images=64,
    repeats=2,
    turn_seconds=0.0,
    steps_per_call=1,
    cases=(Case("mlp", 16, rivals=(), starts=True),),
    agreement=(),
    scaling=None,
    devices=(1,),
    simulated=True,
    sweep=Case("mlp", 16, rivals=()),
    sweep_seconds=0.0,
    alphas=2,
    seeds=1,
    probe_train=64,
    probe_test=32,
    probes=("knn",),
    features=("mlp", 16),
    matmul=(64, ("float32",)),
    plane=("mlp", 16, 2),
)


def plan_for(backend: str, *, quick: bool = False, long: bool = False) -> Plan:
    """The plan of a machine.

    Args:
        backend: JAX's name of the platform, such as ``cpu``.
        quick: whether a look that it works is enough.
        long: whether a CPU measures what takes long too.
    """
    if quick:
        return QUICK
    if backend != "cpu":
        return GPU
    return CPU_LONG if long else CPU
