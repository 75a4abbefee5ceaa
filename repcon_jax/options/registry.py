"""A registry of named builders that finds its own files.

A new encoder, head, objective, augmentation, data source or probe is one file in the room's folder: it
registers a function, and the function's keyword arguments are its config options.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Sequence
from typing import Any

from repcon_jax.errors import ArgumentError, ConfigError, did_you_mean
from repcon_jax.options.schema import parse_call, type_problem


class Registry:
    """Named builders of one kind; the modules of ``package`` are imported at the first look-up.

    Args:
        kind: config field that selects from this registry, such as ``encoder``; used in messages.
        package: dotted name of the package (or single module) whose modules register builders.
        entry: name of the module that registers what a folder of the package holds. Where it is given, modules and
            folders bear the names of what they register, and a look-up imports only the one that is asked for.
    """

    def __init__(self, kind: str, package: str, entry: str | None = None) -> None:
        """An empty registry; nothing is imported yet."""
        self.kind = kind
        self._package = package
        self._entry = entry
        self._builders: dict[str, Callable[..., Any]] = {}
        self._discovered = False

    def register(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        """Decorator that registers a builder whose keyword-only arguments, with defaults, are its options."""

        def add(builder: Callable[..., Any]) -> Callable[..., Any]:
            known = self._builders.get(name)
            # A config file that registers its own method may be read twice.
            if known is not None and _place(known) != _place(builder):
                raise ValueError(f"{self.kind} {name!r} is registered twice.")
            self._builders[name] = builder
            return builder

        return add

    def names(self) -> list[str]:
        """All registered names, sorted."""
        if self._entry is not None:
            return sorted({*self._builders, *self._places()})
        if not self._discovered:
            self._discovered = True
            package = importlib.import_module(self._package)
            for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"{self._package}."):
                importlib.import_module(module.name)
        return sorted(self._builders)

    def get(self, name: str) -> Callable[..., Any]:
        """The builder called ``name``.

        Raises:
            ConfigError: no builder has that name; the nearest one is named.
        """
        if name not in self.names():
            raise ConfigError(
                f"{self.kind}.name is {name!r}, which does not exist; {did_you_mean(name, self.names())}."
            )
        if name not in self._builders:
            importlib.import_module(self._places()[name])
        return self._builders[name]

    def _places(self) -> dict[str, str]:
        """The modules that register, by the name that each registers."""
        package = importlib.import_module(self._package)
        modules = list(pkgutil.iter_modules(package.__path__))
        return {m.name: f"{self._package}.{m.name}" + (f".{self._entry}" if m.ispkg else "") for m in modules}

    def options(self, name: str) -> dict[str, Any]:
        """Every config option of builder ``name`` with its default value."""
        return {key: parameter.default for key, parameter in self._keywords(name).items()}

    def annotations(self, name: str) -> dict[str, Any]:
        """Every config option of builder ``name`` with its type."""
        return {key: parameter.annotation for key, parameter in self._keywords(name).items()}

    def build(self, name: str, *args: Any, **options: Any) -> Any:
        """Checks names and types of ``options`` against the builder's signature and calls it.

        Args:
            name: a registered name.
            *args: what the room itself passes (positional), not part of the config.
            **options: the config's options.
        Raises:
            ConfigError: an option is unknown or missing, or has a wrong type or value.
        """
        try:
            return self._call(name, args, options)
        except ArgumentError as error:
            raise error.within(self.kind) from error

    def parse(self, text: str, field: str, *args: Any) -> Any:
        """Builds what a text such as ``"linear"`` or ``"linear(epochs=20)"`` names.

        Args:
            text: a name, with options where they differ from the defaults.
            field: config field that it stands in, for the message.
            *args: what the room itself passes.
        Raises:
            ConfigError: the text is no such call, or the name or an option does not exist.
        """
        name, options = parse_call(text, field)
        try:
            return self._call(name, args, options)
        except ArgumentError as error:
            fix = error.fix or f"correct --config.{field}"
            problem = f"{self.kind}.{error.argument} {error.problem}"
            raise ConfigError(f"{field} has {text!r}: {problem}; {fix}.") from error
        except ConfigError as error:
            raise ConfigError(f"{field} has {text!r}: {error}") from error

    def read(self, text: str, argument: str, *args: Any) -> Any:
        """Builds what an argument of another builder names, such as the probe of a measurement.

        Args:
            text: as for ``parse``.
            argument: that holds the text; whoever knows the config field that it came from says that.
            *args: what the room itself passes.
        Raises:
            ArgumentError: the text is no such call, or the name or an option does not exist.
        """
        try:
            return self.parse(text, argument, *args)
        except ConfigError as error:
            problem = str(error).removesuffix(".").removeprefix(f"{argument} ")
            raise ArgumentError(argument, problem.removesuffix(f"; correct --config.{argument}")) from error

    def read_several(self, texts: str | Sequence[str], argument: str, *args: Any) -> dict[str, Any]:
        """Builds what an argument of another builder names, one thing or several, by name.

        Args:
            texts: each as for ``parse``; with options or without, every name at most once.
            argument: that holds the texts.
            *args: what the room itself passes.
        Raises:
            ArgumentError: there is none, one is no such call, or a name stands there twice or does not exist.
        """
        several = (texts,) if isinstance(texts, str) else texts
        built = [(self.read(text, argument, *args), parse_call(text, argument)[0]) for text in several]
        by_name = {name: one for one, name in built}
        if len(by_name) < max(1, len(several)):
            raise ArgumentError(argument, f"is {texts!r} but must name at least one {self.kind}, each once")
        return by_name

    def check(self, name: str, options: dict[str, Any]) -> None:
        """Raises ConfigError where ``options`` do not fit the signature of builder ``name``."""
        try:
            self._check(name, options)
        except ArgumentError as error:
            raise error.within(self.kind) from error

    def _call(self, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        self._check(name, options)
        keywords, options = self._keywords(name), dict(options)
        for key, parameter in keywords.items():
            if parameter.default is inspect.Parameter.empty and key not in options:
                raise ArgumentError(key, f"is missing, which {name!r} needs")
            # Where a float is meant an int may be given, but code may ask for its type.
            if parameter.annotation is float and type(options.get(key)) is int:
                options[key] = float(options[key])
        return self.get(name)(*args, **options)

    def _check(self, name: str, options: dict[str, Any]) -> None:
        keywords = self._keywords(name)
        for key, value in options.items():
            if key not in keywords:
                raise ArgumentError(key, f"is not an option of {name!r}", did_you_mean(key, keywords))
            if (problem := type_problem(value, keywords[key].annotation)) is not None:
                raise ArgumentError(key, problem)

    def _keywords(self, name: str) -> dict[str, inspect.Parameter]:
        signature = inspect.signature(self.get(name), eval_str=True)
        return {k: p for k, p in signature.parameters.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}


def _place(builder: Callable[..., Any]) -> tuple[str, str]:
    """File and name of a builder; of a partial function, those of what it calls."""
    function = getattr(builder, "func", builder)
    return inspect.getsourcefile(function) or "", function.__qualname__
