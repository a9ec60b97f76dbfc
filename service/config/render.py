"""The defaults as text: what ``config/default.toml`` is a tested copy of."""

from __future__ import annotations

from pydantic import BaseModel

from service.config.sections import WITHOUT_EFFECT, Config, Section


def render(section: BaseModel | None = None, path: str = "") -> str:
    """The defaults as TOML, one line of meaning above each setting: the text of ``config/default.toml``."""
    if section is None:
        section = Config()
    lines: list[str] = []
    tables: list[str] = []
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        where = f"{path}.{name}" if path else name
        if where in WITHOUT_EFFECT:
            continue  # taken, not offered
        if isinstance(value, Section):
            meaning = field.description or (type(value).__doc__ or "").strip()
            tables.append(f"# {meaning}\n[{where}]\n{render(value, where)}")
        elif value is None or value in ({}, ()):
            lines.append(f"# {field.description}\n# {name} =\n")
        else:
            lines.append(f"# {field.description}\n{name} = {_toml(value)}\n")
    return "".join(lines) + ("\n" if lines and tables else "") + "\n".join(tables)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    return f'"{value}"' if isinstance(value, str) else str(value)
