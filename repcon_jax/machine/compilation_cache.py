"""Compiled programs kept on disk between starts, so that a second start of a run compiles nothing."""

import hashlib
import os
import pathlib
import platform
import sys

MAX_BYTES = 5 * 2**30


def enable(place: str | None = None) -> pathlib.Path | None:
    """Lets JAX keep compiled programs on disk; call it before anything is compiled.

    Args:
        place: the directory; None for the one that JAX was told of, such as by ``$JAX_COMPILATION_CACHE_DIR``, or
            else ``$XDG_CACHE_HOME/repcon_jax/xla`` or ``~/.cache/repcon_jax/xla``; ``none`` for no cache.
    Returns:
        The directory of this machine's programs, or None where there is no cache.

    A cache is a convenience: where it can't be written, a line says so and the run goes on without.
    """
    import jax

    if place == "none":
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    if place is None and jax.config.jax_compilation_cache_dir:
        return pathlib.Path(jax.config.jax_compilation_cache_dir)
    try:
        # XLA compiles for the CPU it runs on, and a home directory may be shared by machines that differ.
        folder = (pathlib.Path(place).expanduser() if place else default_place()) / machine()
        # Whoever can write here can make us run anything.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_writable(folder)
        prune(folder.parent, MAX_BYTES)
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"No compilation cache ({reason}); set --compilation_cache to a directory or to none.", file=sys.stderr)
        jax.config.update("jax_enable_compilation_cache", False)
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    # Everything: a start has a hundred small programs, which together take as long as the large ones.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    return folder


def default_place() -> pathlib.Path:
    """Where the cache is if nobody says otherwise.

    Raises:
        RuntimeError: the user has no home directory.
    """
    base = os.environ.get("XDG_CACHE_HOME")
    return (pathlib.Path(base) if base else pathlib.Path.home() / ".cache") / "repcon_jax" / "xla"


def machine() -> str:
    """A name for machines that can run each other's programs, such as ``x86_64-1c2f0a9b``."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
        about = [line for line in lines if line.split("\t")[0].strip() in ("model name", "flags", "Features")]
    except OSError:
        about = [platform.processor()]
    return f"{platform.machine()}-{hashlib.sha256(''.join(about).encode()).hexdigest()[:8]}"


def prune(folder: pathlib.Path, max_bytes: int) -> None:
    """Removes the files that were not used for longest until the rest take no more than ``max_bytes``.

    JAX's own ``jax_compilation_cache_max_size`` needs one more package and reads the whole folder at every entry.
    """
    files = []
    for path in folder.rglob("*"):
        try:
            about = path.stat()
        except OSError:  # another run removed it
            continue
        if path.is_file():
            files.append((max(about.st_atime, about.st_mtime), about.st_size, path))
    excess = sum(size for _, size, _ in files) - max_bytes
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        path.unlink(missing_ok=True)
        excess -= size


def _check_writable(folder: pathlib.Path) -> None:
    probe = folder / f".{os.getpid()}"
    probe.touch()
    probe.unlink()
