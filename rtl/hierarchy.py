"""One module for each kind of component: equal components are instances of the same module.

Amaranth writes a module for each instance, with ports that depend on its surroundings: constant inputs and unused
outputs have none. Here every component is converted on its own, with the ports of its signature, and stands as an
instance in the component around it. Components whose modules are equal are of one kind.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import getdoc

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Elaboratable, Fragment, Instance, ResetSignal, Signal, Value
from amaranth.lib.wiring import Component, Flow, In, Member, Signature

CONTROLS = {"clk": ClockSignal(), "rst": ResetSignal()}
"""Ports of a module that are not in its component's signature."""

KEPT_ATTRIBUTES = ("init", "keep", "ram_style")
"""Attributes that change what is simulated or synthesized; the others are notes."""

PLACEHOLDER = "kind"

_NOTE = re.compile(rf"^ *attribute \\(?!(?:{'|'.join(KEPT_ATTRIBUTES)}) ).*\n", re.MULTILINE)
_MODULE = re.compile(r"^module .*?^end\n", re.MULTILINE | re.DOTALL)
_WIRE = re.compile(
    r"^(?: +attribute .*\n)*"
    r"  wire width (?P<width>\d+) (?:(?P<port>input|output) \d+ )? *(?:signed )?(?P<name>\\\S+)\n+",
    re.MULTILINE,
)
_ALIAS = re.compile(r"^connect (\\\S+) (\S.*)\n", re.MULTILINE)
_NAME = re.compile(r"(?P<port>^    (?:connect|parameter(?: signed)?) \\\S+ )?(?P<name>\\[^\s\\\"]+)", re.MULTILINE)
_PORT = re.compile(r"(?<= )(input|output) (\d+)(?=  )")
_CELL = re.compile(r"^  cell \$(?:eq|ne|lt|le|gt|ge|add|sub) .*?^  end\n", re.MULTILINE | re.DOTALL)
_CONSTANT = re.compile(r"(?<=connect \\B )(\d+)'([01]+)$", re.MULTILINE)
_CONTENTS = re.compile(r"^  cell \$meminit_v2 .*?^  end\n+", re.MULTILINE | re.DOTALL)
_ZEROS = re.compile(r"(?<=connect \\DATA )\d+'0+$", re.MULTILINE)


@dataclass(frozen=True)
class Kind:
    """Components of equal logic.

    Attributes:
        module: name of their module.
        summary: what they are, in a line.
        text: the module as RTLIL, and those of parts without a signature.
    """

    module: str
    summary: str
    text: str

    @property
    def modules(self) -> list[str]:
        """Names of the modules in ``text``."""
        return re.findall(r"^module \\(\S+)$", self.text, re.MULTILINE)

    def has(self, port: str) -> bool:
        """Whether the module has a port of that name."""
        return any(found["port"] and found["name"] == f"\\{port}" for found in _WIRE.finditer(self.text))


def kinds_of(component: Component, *, name: str, platform: object) -> list[Kind]:
    """Return the kinds of components in a component, its own first; each is instantiated by some before it.

    Components must not share signals except by their ports. Afterwards, their signals have other names.

    Args:
        component: the top; everything is in the clock domain ``sync``.
        name: name of its module, and first part of the others': ``name_block_memory``, ``name_block_memory_2``.
        platform: selects the fabric of blocks.
    """
    kinds: dict[tuple[str, str, int], Kind] = {}
    fragment = Fragment.get(component, platform)
    _separate(fragment, name, kinds)
    return [_kind(component, name, _convert(component, fragment)), *reversed(kinds.values())]


def _separate(fragment: Fragment, prefix: str, kinds: dict[tuple[str, str, int], Kind]) -> None:
    """Replace the components in a fragment by instances of their kinds, and add kinds that are new."""
    for place, (inner, instance, source) in enumerate(fragment.subfragments):
        component = inner.origins[0] if inner.origins else None
        _separate(inner, prefix, kinds)
        # memories and primitives are no modules, and parts of the standard library have no signature
        if type(inner) is not Fragment or not isinstance(component, Component):
            continue
        text = _convert(component, inner)
        base = f"{prefix}_{_snake(type(component).__name__)}"
        key = (base, text, _zero_rows(component))
        if key not in kinds:
            number = 1 + sum(other == base for other, *_ in kinds)
            kinds[key] = _kind(component, base if number == 1 else f"{base}_{number}", text)
        fragment.subfragments[place] = (_instance(kinds[key], component, instance), instance, source)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _zero_rows(component: Component) -> int:
    """Rows of the component's memory, from the first, that must start as zeros."""
    rows: int = getattr(component, "zero_rows", 0)
    return rows


def _ports(component: Component) -> Iterator[tuple[Flow, Signal]]:
    """Direction and signal of each port that has bits."""
    for _, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if isinstance(signal, Signal) and len(signal):
            yield member.flow, signal


def _instance(kind: Kind, component: Component, name: str) -> Instance:
    """An instance; in the module around it, its ports are wires with its name in front."""
    connections: list[tuple[str, str, Value]] = [
        ("i", port, value) for port, value in CONTROLS.items() if kind.has(port)
    ]
    connections += [("i" if flow is In else "o", signal.name, signal) for flow, signal in _ports(component)]
    instance = Instance(kind.module, *connections)
    for _, signal in _ports(component):
        signal.name = f"{name}_{signal.name}"
    return instance


class _Alone(Elaboratable):
    """A component's fragment with the component's ports, and those of its clock domain."""

    def __init__(self, component: Component, fragment: Fragment) -> None:
        sync = ClockDomain("sync")
        fragment.add_domains(sync)
        self._fragment = fragment
        ports: dict[str, tuple[Flow, Signal]] = {"clk": (In, sync.clk), "rst": (In, sync.rst)}
        for flow, signal in _ports(component):
            if signal.name in ports:
                raise ValueError(f"{type(component).__name__}: two ports named {signal.name}")
            ports[signal.name] = (flow, signal)
        self.signature = Signature({name: Member(flow, signal.shape()) for name, (flow, signal) in ports.items()})
        for name, (_, signal) in ports.items():
            setattr(self, name, signal)

    def elaborate(self, _platform: object) -> Fragment:
        """The fragment."""
        return self._fragment


def _convert(component: Component, fragment: Fragment) -> str:
    """RTLIL of a component whose inner components are instances."""
    text: str = rtlil.convert(_Alone(component, fragment), name=PLACEHOLDER, emit_src=False)
    return text


def _kind(component: Component, name: str, text: str) -> Kind:
    """A kind of a component from its RTLIL, which becomes plain: without notes, aliases and needless contents."""
    text = _CONTENTS.sub(lambda found: _contents(found[0], _zero_rows(component)), _NOTE.sub("", text))
    text = _CELL.sub(_padded, text)
    # the component's own module, and parts without a signature
    text = "\n".join(_plain_names(_without_aliases(module)) for module in _MODULE.findall(text))
    text = text.replace(f"\\{PLACEHOLDER}.", f"\\{name}_").replace(f"\\{PLACEHOLDER}\n", f"\\{name}\n")
    # Yosys takes port 0 for the last one
    text = _PORT.sub(lambda port: f"{port[1]} {int(port[2]) + 1}", text)
    return Kind(name, (getdoc(type(component)) or "").partition("\n")[0].replace("``", ""), text)


def _without_aliases(module: str) -> str:
    """Leave one name to each wire: a port's, or else the component's own, or else that of an inner port."""
    wires = {name: (int(width), bool(kind)) for width, kind, name in _WIRE.findall(module)}
    inner = tuple(f"{name}_" for name in re.findall(r"^  cell \\\S+ (\\\S+)$", module, re.MULTILINE))
    renamed: dict[str, str] = {}
    aliases = [found for found in _ALIAS.findall(module) if not wires[found[0]][1]]
    for alias, source in aliases:
        wire, _, bits = source.partition(" ")
        if wire.startswith(inner) and not alias.startswith(inner) and not wires[wire][1] and wire not in renamed:
            width = wires[wire][0]
            if wires[alias][0] == width and bits in {"[0]", f"[{width - 1}:0]"}:
                renamed[wire] = alias
    unused = {alias for alias, _ in aliases}
    unused |= {f"\\{port}" for port in CONTROLS if len(re.findall(rf"\\{port}\b", module)) == 1}
    module = _ALIAS.sub(lambda found: "" if found[1] in unused else found[0], module)
    module = _WIRE.sub(lambda found: "" if found["name"] in unused else found[0], module)
    return _with_names(module, renamed)


def _with_names(module: str, renamed: dict[str, str]) -> str:
    """Give names to wires, memories and cells in place of others; ports of cells have names of their own."""
    return _NAME.sub(lambda found: f"{found['port'] or ''}{renamed.get(found['name'], found['name'])}", module)


def _plain_names(module: str) -> str:
    """Leave out the dollar signs of names: Amaranth numbers equal names, and names signals that have none."""
    names = {found["name"] for found in _NAME.finditer(module)}
    renamed: dict[str, str] = {}
    for name in sorted(name for name in names if "$" in name):
        plain = f"\\{name[1:].lstrip('$').replace('$', '_')}"
        while plain in names:
            plain += "_"
        names.add(plain)
        renamed[name] = plain
    return _with_names(module, renamed)


def _padded(found: re.Match[str]) -> str:
    """An operation whose constant has as many bits as the other operand."""
    cell = found[0]
    constant, width = _CONSTANT.search(cell), re.search(r"parameter \\A_WIDTH (\d+)", cell)
    if constant is None or width is None or int(constant[1]) >= int(width[1]):
        return cell
    bits = int(width[1])
    fill = constant[2][0] if re.search(r"parameter \\B_SIGNED (?:1|1'1)$", cell, re.MULTILINE) else "0"
    cell = re.sub(r"(?<=parameter \\B_WIDTH )\d+", width[1], cell)
    return _CONSTANT.sub(f"{bits}'{constant[2].rjust(bits, fill)}", cell)


def _contents(cell: str, zero_rows: int) -> str:
    """Initial contents of a memory; of one that is all zeros, only the first rows, as far as they matter."""
    width = re.search(r"parameter \\WIDTH (\d+)", cell)
    if width is None or not _ZEROS.search(cell):
        return cell
    cell = re.sub(r"(?<=parameter \\WORDS )\d+", str(zero_rows), cell)
    bits = zero_rows * int(width[1])
    return _ZEROS.sub(f"{bits}'{'0' * bits}", cell) if zero_rows else ""
