"""What XLA's CPU compiler is told before JAX starts, so that its own convolution is worth calling."""

import importlib.metadata
import importlib.util
import os
import platform
import sys

# XLA hands matrix products, reductions and convolutions to the library YNNPACK. Its convolutions are two to four times
# slower than those that XLA made before; its reductions and products are faster. So: all but the convolutions.
FLAG = "--xla_cpu_experimental_ynn_fusion_type="
LIBRARY_OPERATIONS = ("DOT", "INDIVIDUAL_DOT", "REDUCE")
# Of JAX. The flag is experimental, and an XLA that does not know a flag ends the process.
MEASURED_VERSIONS = ("0.10.", "0.11.")


def enable() -> bool:
    """Lets XLA compute convolutions on the CPU itself; call it before JAX is imported.

    It appends to ``$XLA_FLAGS``, where JAX reads it once. Nothing is changed where the user has chosen already, where
    JAX has been imported, on a processor or a version of JAX that was not measured, and beside a GPU or TPU.

    Returns:
        Whether convolutions are so computed, see ``convolves_itself``.
    """
    given = os.environ.get("XLA_FLAGS", "")
    if FLAG not in given and "jax" not in sys.modules and _is_measured() and _is_cpu_alone():
        os.environ["XLA_FLAGS"] = f"{given} {flag()}".strip()
    return convolves_itself()


def flag() -> str:
    """The flag for ``$XLA_FLAGS``.

    >>> flag().count("LIBRARY_FUSION_TYPE")
    3
    """
    return FLAG + ",".join(f"LIBRARY_FUSION_TYPE_{operation}" for operation in LIBRARY_OPERATIONS)


def convolves_itself() -> bool:
    """Whether XLA was told to leave convolutions out of what it gives to the library."""
    _, given, rest = os.environ.get("XLA_FLAGS", "").rpartition(FLAG)
    return bool(given) and "CONVOLUTION" not in rest.split(" ")[0]


def _is_measured() -> bool:
    processor = (sys.platform, platform.machine()) == ("linux", "x86_64")
    return processor and importlib.metadata.version("jaxlib").startswith(MEASURED_VERSIONS)


def _is_cpu_alone() -> bool:
    # An accelerator's library parses the same variable and may know other flags.
    if os.environ.get("JAX_PLATFORMS") == "cpu":
        return True
    return not any(map(importlib.util.find_spec, ("jax_plugins", "libtpu")))
