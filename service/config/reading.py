"""Reads and judges a configuration: every problem at once, each as ``path: what is wrong (got value)``."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import orjson
from pydantic import BaseModel, ValidationError

from service import deleveraging
from service.config.sections import WITHOUT_EFFECT, Config, FrozenWeights
from service.errors import ConfigError


def load(path: str | Path | None) -> Config:
    """The configuration from a file, or the defaults when ``path`` is None. Raises :exc:`ConfigError`.

    Relative paths in it start at the file's folder. Weights to freeze and parameters of
    ``p_deleveraging`` are read at once: a tape carries them themselves.
    """
    if path is None:
        return Config()
    config = parse(read_toml(path), Path(path).absolute().parent)
    read: dict[str, Any] = {}
    if config.weights.mode == "frozen" and config.weights.file is not None:
        read["weights"] = config.weights.model_copy(update={"frozen": _frozen(config.weights.file)})
    if config.deleveraging.file is not None:
        read["deleveraging"] = config.deleveraging.model_copy(update={"parameters": _fitted(config.deleveraging.file)})
    return config.model_copy(update=read) if read else config


def parse(document: Mapping[str, Any], home: Path | None = None) -> Config:
    """Validate a parsed document. Raises :exc:`ConfigError` with every problem.

    ``home``: where relative paths start; without it, as for a tape's header, paths stay as they are.
    """
    try:
        return Config.model_validate(document, context={"home": home})
    except ValidationError as error:
        raise ConfigError(problems_of(error, Config)) from None


def notes(config: Config) -> list[str]:
    """What the file sets without any effect, one line each."""
    lines = []
    for path, why in WITHOUT_EFFECT.items():
        *tables, name = path.split(".")
        table = _at(config, tables)
        if table is not None and name in table.model_fields_set:
            lines.append(f"{path}: has no effect: {why}")
    return lines


def renamed(path: str | Path, config: Config) -> list[str]:
    """The names in the file that mean a symbol of another name, one line each."""
    known = config.aliases()
    symbols = read_toml(path).get("service", {}).get("symbols", ())
    return [f"service.symbols: {name} is counted as {known[name]}" for name in symbols if name in known]


def shareable(config: Config) -> dict[str, Any]:
    """Plain values for a tape, without the proxy: it may hold a password, and tapes are handed on. With the parameters
    of ``p_deleveraging`` that were in force: a later version may come with others."""
    plain = config.model_dump(mode="json")
    plain["deleveraging"]["parameters"] = config.deleveraging.parameters or deleveraging.packaged_parameters()
    plain["network"]["proxy"] = None
    return plain


def read_toml(path: str | Path) -> dict[str, Any]:
    """Read a TOML file; an unreadable or malformed file is a :exc:`ConfigError` that names it."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: cannot be read: {error}"]) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError([f"{path}: not TOML: {error}"]) from None


def problems_of(error: ValidationError, whole: type[BaseModel] | None = None) -> list[str]:
    """One ``path: what is wrong (got value)`` line per problem. ``whole``: what was judged, for its settings' names."""
    lines = []
    for item in error.errors(include_url=False):
        context = item.get("ctx", {})
        path = context.get("path") or ".".join(str(part) for part in item["loc"]) or "(file)"
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            *tables, name = item["loc"]
            meant = None if whole is None else _meant(whole, tables, str(name))
            message = "no such setting" + ("" if meant is None else f"; did you mean {meant}?")
        shown = context.get("shown", item.get("input"))
        suffix = "" if isinstance(shown, dict | BaseModel | list | tuple) else f" (got {shown!r})"[:80]
        lines.append(f"{path}: {message}{suffix}")
    return lines


def _at(whole: BaseModel | None, tables: Sequence[int | str]) -> BaseModel | None:
    """The table at this path, if there is one."""
    for name in tables:
        whole = getattr(whole, str(name), None)
    return whole


def _meant(whole: type[BaseModel], tables: Sequence[int | str], name: str) -> str | None:
    """The setting probably meant: of the same table the closest, else the one of about this name in another table."""
    table: type[BaseModel] | None = whole
    for part in tables:
        if table is not None and not isinstance(part, int):
            field = table.model_fields.get(part)
            table = None if field is None else _table_of(field.annotation)
    wanted = name.lower().replace("-", "_").replace(" ", "_")
    close = difflib.get_close_matches(wanted, () if table is None else table.model_fields, n=1)
    if close:
        return close[0]
    elsewhere: dict[str, list[str]] = {}
    for path in _paths(whole):
        elsewhere.setdefault(path.rpartition(".")[2], []).append(path)
    close = difflib.get_close_matches(wanted, elsewhere, n=1, cutoff=0.8)
    found = elsewhere[close[0]] if close else []
    return found[0] if len(found) == 1 else None


def _table_of(annotation: Any) -> type[BaseModel] | None:
    """The table that a setting of this type is, or is a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((table for part in get_args(annotation) if (table := _table_of(part)) is not None), None)


def _paths(table: type[BaseModel], head: str = "") -> Iterator[str]:
    """All settings, by their paths."""
    for name, field in table.model_fields.items():
        yield f"{head}{name}"
        inner = _table_of(field.annotation)
        if inner is not None:
            yield from _paths(inner, f"{head}{name}.")


def _frozen(path: str) -> FrozenWeights:
    """The weights of a file that `elr weights --save` wrote."""
    plain = _json(path, "weights.file")
    if not isinstance(plain, dict) or plain.get("format") != "elr-weights":
        raise ConfigError([f"weights.file: {path}: not a file of `elr weights --save`"])
    try:
        return FrozenWeights.model_validate({name: plain.get(name) for name in ("rounds", "windows")})
    except ValidationError as error:
        raise ConfigError([f"weights.file: {path}: {line}" for line in problems_of(error)]) from None


def _fitted(path: str) -> dict[str, Any]:
    """The parameters of a file that `elr fit` wrote."""
    plain: dict[str, Any] = _json(path, "deleveraging.file")
    try:
        deleveraging.parse(plain)
    except ValueError as error:
        raise ConfigError([f"deleveraging.file: {path}: {error}"]) from None
    return plain


def _json(path: str, setting: str) -> Any:
    try:
        return orjson.loads(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError([f"{setting}: {path}: cannot be read: {error.strerror}"]) from None
    except ValueError:
        raise ConfigError([f"{setting}: {path}: not JSON"]) from None
