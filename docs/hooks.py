"""MkDocs hooks: generate the reference from the code, and reject public names without a docstring.

A page holds a marker line ``<!-- generated: NAME ARGUMENT -->``; the text in its place comes from the typer
application, the pydantic models, the packet layouts, or the modules of a folder.
"""

import ast
import inspect
import logging
import re
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import typer
from amaranth.lib import data
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from spikequant.fpga.boards import BOARDS
from spikequant.gen.cli import app

ROOT = Path(__file__).resolve().parents[1]

log = logging.getLogger("mkdocs.hooks.spikequant")

MARKER = re.compile(r"^<!-- generated: (\w+) ?(.*?) -->$", re.MULTILINE)


def _cell(text: object) -> str:
    """Text for one cell of a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def _type_name(annotation: object) -> str:
    """A type as a user writes its values."""
    origin = get_origin(annotation)
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if origin in (Union, types.UnionType):
        return ", ".join(_type_name(part) for part in get_args(annotation) if part is not type(None))
    if origin in (list, tuple):
        items = [part for part in get_args(annotation) if part is not Ellipsis]
        return "list of " + _type_name(items[0]) if items else "list"
    if origin is dict:
        return "table"
    if origin is not None:
        return _type_name(get_args(annotation)[0])
    return getattr(annotation, "__name__", str(annotation))


# Commands


def _choices(parameter: Any) -> str:
    annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    for part in (annotation, *get_args(annotation)):
        if get_origin(part) is Literal:
            return "\\|".join(str(value) for value in get_args(part))
    return ""


def _option_row(parameter: Any) -> tuple[object, ...]:
    names = ", ".join(f"`{name}`" for name in (*parameter.opts, *parameter.secondary_opts))
    value = "" if parameter.is_flag else (parameter.metavar or _choices(parameter) or parameter.name.upper())
    default = parameter.default
    shown = getattr(parameter, "show_default", True)
    if isinstance(shown, str):
        default = shown
    elif parameter.is_flag or default is None or not shown:
        default = "required" if parameter.required else ""
    elif isinstance(default, (list, tuple)):
        default = " ".join(str(value) for value in default)
    return names, value.replace("|", "\\|").replace("\\\\", "\\"), parameter.help or "", default


def _row_text(row: tuple[object, ...]) -> str:
    return "| " + " | ".join(" ".join(str(cell).split()) for cell in row) + " |"


def _commands(_: str) -> str:
    """Every command with its arguments and options, by the panels of ``--help``."""
    group = typer.main.get_command(app)
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        if getattr(command, "hidden", False):
            continue
        panel = getattr(command, "rich_help_panel", None)
        panels.setdefault(panel if isinstance(panel, str) else "Commands", []).append((name, command))
    parts = []
    for panel, commands in panels.items():
        parts.append(f"## {panel}")
        for name, command in commands:
            arguments = [p for p in command.params if not p.opts[0].startswith("-")]
            options = [p for p in command.params if p.opts[0].startswith("-") and not getattr(p, "hidden", False)]
            usage = " ".join(["spikequant", name, *((p.metavar or p.name.upper()) for p in arguments)])
            parts.append(f"### spikequant {name} {{#{name}}}\n")
            parts.append(inspect.cleandoc(command.help or ""))
            parts.append(f"```sh\n{usage}{' [OPTIONS]' if options else ''}\n```")
            rows = [
                (
                    f"`{p.metavar or p.name.upper()}`".replace("|", "\\|"),
                    "",
                    p.help or "",
                    "required" if p.required else "",
                )
                for p in arguments
            ]
            rows += [_option_row(p) for p in options if p.name != "help"]
            if rows:
                head = ["| option | value | meaning | default |", "|---|---|---|---|"]
                parts.append("\n".join(head + [_row_text(row) for row in rows]))
    return "\n\n".join(parts)


# Keys of models


def _bounds(field: Any) -> str:
    limits = {}
    for part in field.metadata:
        for name in ("ge", "gt", "le", "lt"):
            if (value := getattr(part, name, None)) is not None:
                limits[name] = value
    low = f"{limits['ge']}" if "ge" in limits else f"above {limits['gt']}" if "gt" in limits else ""
    high = f"{limits['le']}" if "le" in limits else f"below {limits['lt']}" if "lt" in limits else ""
    if low and high:
        return f"{low}..{high}"
    return f"{low} or more" if "ge" in limits else low or high


def _value(value: object) -> str:
    if value is PydanticUndefined:
        return "required"
    if isinstance(value, tuple):
        value = list(value)
    return f"`{value!r}`".replace("'", '"')


def _is_model(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    rows: list[tuple[object, ...]] = []
    tables: list[tuple[str, type[BaseModel]]] = []
    for name, field in model.model_fields.items():
        annotation: Any = field.annotation
        if _is_model(annotation):
            tables.append((f"{prefix}{name}", annotation))
            continue
        rows.append(
            (f"`{name}`", field.description or "", _type_name(annotation), _bounds(field), _value(field.default))
        )
    if prefix:
        yield f"## `[{prefix[:-1]}]`"
        yield inspect.cleandoc(model.__doc__ or "")
    yield _table(("key", "meaning", "type", "range", "default"), rows)
    for name, table in tables:
        yield from _keys(table, f"{name}.")


def _model_keys(path: str) -> str:
    """The keys of a pydantic model, each nested model as a TOML table."""
    module, _, name = path.rpartition(".")
    return "\n\n".join(_keys(getattr(__import__(module, fromlist=[name]), name)))


def _presets(path: str) -> str:
    """Presets of a model by name, each by the keys that differ from the defaults."""
    module, _, name = path.rpartition(".")
    presets: dict[str, BaseModel] = getattr(__import__(module, fromlist=[name]), name)
    rows: list[tuple[object, ...]] = []
    for preset, model in presets.items():
        rows.append((f"`{preset}`", ", ".join(_changes(model)) or "the defaults"))
    return _table(("preset", "sets"), rows)


def _changes(model: BaseModel, prefix: str = "") -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from _changes(value, f"{prefix}{name}.")
        elif value != field.default:
            yield f"{prefix}{name} = {_value(value)}"


# Packets


def _layout(path: str) -> str:
    """The fields of a packet layout: word, bits, name, kind."""
    module, _, name = path.rpartition(".")
    layout: Any = getattr(__import__(module, fromlist=[name]), name)
    rows: list[tuple[object, ...]] = []
    for field, place in data.Layout.cast(layout):
        low = place.offset % 32
        top = low + place.width - 1
        last = top // 32
        bits = (
            f"{low}"
            if place.width == 1
            else f"{low}..{top % 32}" + (f" of word {place.offset // 32 + last}" if last else "")
        )
        shape = place.shape
        kind = getattr(shape, "__name__", "signed" if getattr(shape, "signed", False) else "unsigned")
        rows.append(
            (
                place.offset // 32,
                bits,
                place.width,
                "reserved, 0" if field.startswith("reserved") else f"`{field}`",
                kind,
            )
        )
    note = inspect.cleandoc(layout.__doc__ or "")
    return note + "\n\n" + _table(("word", "bits", "width", "field", "kind"), rows)


def _members(path: str) -> str:
    """The members of an enumeration with their values."""
    module, _, name = path.rpartition(".")
    kind: Any = getattr(__import__(module, fromlist=[name]), name)
    return _table(("name", "value"), [(f"`{member.name}`", member.value) for member in kind])


# Boards


def _boards(_: str) -> str:
    rows: list[tuple[object, ...]] = [
        (f"`{b.name}`", b.device, f"`{b.preset}`", b.capacity.luts, b.capacity.ebrs, "yes" if b.sdram else "")
        for b in BOARDS.values()
    ]
    return _table(("board", "part", "sized preset", "LUTs", "EBRs", "SDRAM supported"), rows)


# API pages


def _sources(folder: str) -> list[Path]:
    """Public modules in a folder of the repository, without those of its subfolders."""
    return [path for path in sorted((ROOT / folder).glob("*.py")) if not path.name.startswith("_")]


def _api(folder: str) -> str:
    """One section for each module of a folder."""
    sources = _sources(folder)
    if not sources:
        log.warning("docs: no modules in %s", folder)
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in sources]
    return "\n\n".join(f"::: spikequant.{name}" for name in names)


GENERATORS: dict[str, Callable[[str], str]] = {
    "commands": _commands,
    "keys": _model_keys,
    "presets": _presets,
    "layout": _layout,
    "members": _members,
    "boards": _boards,
    "api": _api,
}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace each marker by what its generator returns; log a warning, which fails a strict build, for a bad one."""

    def generated(match: re.Match[str]) -> str:
        name, argument = match.groups()
        if name not in GENERATORS:
            log.warning("docs: %s has an unknown marker %r", page.file.src_uri, name)
            return ""
        return GENERATORS[name](argument)

    return MARKER.sub(generated, markdown)


def undocumented(path: Path) -> Iterator[str]:
    """Public modules, classes and functions in a file that have no docstring."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not ast.get_docstring(tree):
        yield "the module"
    scopes: list[tuple[str, ast.Module | ast.ClassDef]] = [("", tree)]
    while scopes:
        prefix, scope = scopes.pop()
        for node in scope.body:
            if not isinstance(node, (ast.ClassDef, ast.FunctionDef)) or node.name.startswith("_"):
                continue
            if not ast.get_docstring(node):
                yield f"{prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                scopes.append((f"{prefix}{node.name}.", node))


def on_pre_build(config: Any) -> None:
    """Log a warning, which fails a strict build, for each public name of the API pages without a docstring."""
    for page in sorted((Path(config["docs_dir"]) / "reference" / "api").glob("*.md")):
        for name, folder in MARKER.findall(page.read_text(encoding="utf-8")):
            for path in _sources(folder) if name == "api" else []:
                for missing in undocumented(path):
                    log.warning("docs: %s: %s has no docstring", path.relative_to(ROOT), missing)
