"""Yosys's Verilog in the form that people write: registers in one process each, and no empty branches.

Yosys writes a register as a process that computes its next value, and another one that stores it.
"""

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from textwrap import wrap

STARTS = "at_start"
"""Constant register that Yosys has each combinational process read, so that the process runs once at time 0."""

USED_ONCE = 3
"""Places of the name of a wire that is used once: its declaration, its assignment, its use."""

COLUMNS = 116
"""Longest line of a list of wires."""

_STARTS = re.compile(r"\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ")
_FULL = re.compile(r"^ *\(\* full_case = 32'd1 \*\)\n", re.MULTILINE)
_STORE = re.compile(r"    (\S+) +<= (.*);")
_ASSIGNMENT = re.compile(r"( +)(_\d+_)((?: *\[[^\]]*\])?) = (.*)")
_UNNAMED = re.compile(r"\b_\d+_\b")
_DECLARATION = re.compile(r"  (?P<kind>wire|reg)(?P<range> \[\d+:0\])? (?P<name>_\d+_);")
_ASSIGN = re.compile(r"  assign (?P<name>_\d+_) = .*;")
_PORT = re.compile(r"^(  (?:input|output)((?: \[\d+:0\])?) (\S+) ?;\n)  wire\2 \3 ?;\n", re.MULTILINE)
_BIT = re.compile(r"  (?:wire|reg|input|output) (\w+)(?: = 1'h[01])?;")
_OPERAND = r"(?:\w+(?:\[\d+(?::\d+)?\])?|\d+'h[0-9a-f]+|\{[^{}]*\})"
_MEANING = re.compile(
    rf"  assign (_\d+_) = (?:(?:(?:~\||[~&|^]) )?{_OPERAND}|{_OPERAND} (?:[&|^]|[=!]=|[<>]=?) {_OPERAND});"
)
_WHOLE = re.compile(r" +(?:end else )?if \((_\d+_)\) begin| +\.\S+ ?\((_\d+_)\),?")
_GATE = re.compile(rf"~ {_OPERAND}|{_OPERAND} [&|^] {_OPERAND}")
_TARGET = re.compile(r" +(?:assign )?(\w+)(\[\d+\])? <?= (.*);")
_UNARY = re.compile(r"(?<=[=(])( ?)(~\||[~&|^]) (?=[\w{(])")
_CASE = re.compile(r"^( *)casez .*?^\1endcase\n", re.MULTILINE | re.DOTALL)
_ARM = re.compile(r"^ *\d+'h[0-9a-f]+(?:, \d+'h[0-9a-f]+)*:$", re.MULTILINE)
_VALUE = re.compile(r"(\d+)'h")
_EMPTY = re.compile(r"^ *\d+'h[0-9a-f]+:\n *\/\* empty \*\/;\n", re.MULTILINE)
_SHORT = re.compile(r"^( *)((?:end else )?if \(.*\)) begin\n +([^;\n]*;)\n\1end\n", re.MULTILINE)
_MODULE = re.compile(r"^module (\S+?) ?\((.*?)\);\n(.*?)^endmodule\n", re.MULTILINE | re.DOTALL)


def tidy_modules(text: str) -> dict[str, str]:
    """Return the modules of a text by Yosys's ``write_verilog``, in the same hierarchy and of the same behaviour."""
    text = _PORT.sub(r"\1", _STARTS.sub(f"{STARTS} ", _FULL.sub("", text))).replace(" = ! ", " = ~| ")
    return {name: _module(name, ports, body) for name, ports, body in _MODULE.findall(text)}


def _module(name: str, ports: str, body: str) -> str:
    items = list(_items(body.splitlines()))
    items = _inlined(_without_unused(_with_registers(items)))
    text = "".join(f"{line}\n" for item in _declared(items) for line in item)
    text = _CASE.sub(_plain_case, text)
    if text.count(STARTS) == 1:
        text = re.sub(rf"^ .*{STARTS} .*\n", "", text, flags=re.MULTILINE)
    head = "\n".join(wrap(f"module {name}({ports});", COLUMNS, subsequent_indent="  ", break_long_words=False))
    return f"{head}\n{_SHORT.sub(_shortened, text)}endmodule\n"


def _items(lines: Sequence[str]) -> Iterator[list[str]]:
    """Declarations, assignments, processes and instances, each with its lines."""
    item: list[str] = []
    for line in lines:
        if line.startswith("  ") and line[2] not in " )" and line != "  end" and item:
            yield item
            item = []
        item.append(line)
    if item:
        yield item


def _with_registers(items: Sequence[list[str]]) -> list[list[str]]:
    """Join the process that computes a register's next value with the one that stores it."""
    counts = Counter(name for item in items for line in item for name in _UNNAMED.findall(line))
    computed: dict[str, list[str]] = {}
    for item in items:
        if item[0].startswith("  always @*"):
            lines = [line for line in item[1:] if STARTS not in line and line != "  end"]
            found = _ASSIGNMENT.match(lines[0])
            if found:
                computed.setdefault(found[2], []).extend(lines)
    joined: list[list[str]] = []
    plain: list[str] = []
    moved: set[str] = set()
    for item in items:
        store = _STORE.fullmatch(item[1]) if item[0] == "  always @(posedge clk)" and len(item) == 2 else None
        if store is None:
            joined.append(item)
            continue
        register, value = store[1], store[2]
        lines = computed.get(value, [])
        inside = sum((found := _ASSIGNMENT.match(line)) is not None and found[2] == value for line in lines)
        # besides the assignments of its process, only its declaration and this store may have the value
        if lines and counts[value] == inside + 2:
            moved.add(value)
            joined.append(["  always @(posedge clk) begin", *_stored(lines, value, register), "  end"])
        else:
            plain.append(item[1])
    joined = [item for item in joined if not _belongs(item, moved)]
    if plain:
        joined.append(["  always @(posedge clk) begin", *plain, "  end"])
    return joined


def _without_unused(items: Sequence[list[str]]) -> list[list[str]]:
    """Leave out wires without a name that are computed and not used."""
    while True:
        counts = Counter(name for item in items for line in item for name in _UNNAMED.findall(line))
        assigned = {found["name"] for item in items if (found := _ASSIGN.fullmatch(item[0]))}
        unused = {name for name in assigned if counts[name] == USED_ONCE - 1}
        if not unused:
            return list(items)
        items = [
            item
            for item in items
            if not (found := _DECLARATION.fullmatch(item[0]) or _ASSIGN.fullmatch(item[0]))
            or found["name"] not in unused
        ]


def _plain_case(found: re.Match[str]) -> str:
    """A case statement without empty branches, and with a default one if it does not list all values."""
    case: str = found[0]
    if "?" in case or "default" in case or case.count("casez") > 1:
        return case
    values = [width for arm in _ARM.findall(case) for width in _VALUE.findall(arm)]
    if "/* empty */" not in case and values and len(values) == 2 ** int(values[0]):
        return case
    indent = found[1]
    return f"{_EMPTY.sub('', case).removesuffix(f'{indent}endcase' + chr(10))}{indent}  default: ;\n{indent}endcase\n"


def _inlined(items: Sequence[list[str]]) -> list[list[str]]:
    """Put bits that are used once where they are used, if that is safe and the line stays short."""
    given = [line for item in items for line in item]
    bits = {found[1] for line in given if (found := _BIT.fullmatch(line))}
    places: dict[str, list[int]] = {}
    for place, line in enumerate(given):
        for name in _UNNAMED.findall(line):
            places.setdefault(name, []).append(place)
    lines = given.copy()
    # where the content of a line went
    home: dict[int, int] = {}
    for place, line in enumerate(given):
        found = _MEANING.fullmatch(line)
        if not found or found[1] not in bits or len(places[found[1]]) != USED_ONCE:
            continue
        name = found[1]
        declared, used = (other for other in places[name] if other != place)
        whole = _stands_in(given[used], name, bits)
        if whole is None:
            continue
        while used in home:
            used, whole = home[used], False
        _, _, meaning = lines[place].removesuffix(";").partition(" = ")
        longer = _replaced(lines[used], name, meaning if whole or " " not in meaning else f"({meaning})")
        if len(longer) <= COLUMNS:
            lines[used] = longer
            lines[place] = lines[declared] = ""
            home[place] = used
    kept = iter(lines)
    inlined = [[line for line in (next(kept) for _ in item) if line] for item in items]
    return [[_UNARY.sub(r"\1\2", line) for line in item] for item in inlined if item]


def _replaced(line: str, name: str, meaning: str) -> str:
    """A line with a meaning in place of a name, which may also be a part of other names."""
    return _UNNAMED.sub(lambda found: meaning if found[0] == name else found[0], line)


def _stands_in(line: str, name: str, bits: Container[str]) -> bool | None:
    """Whether a bit is all of an expression, or a part of one of bits alone; None if neither.

    In a wider expression, operators would act on wider operands.
    """
    if (found := _WHOLE.fullmatch(line)) and name in found.groups():
        return True
    found = _TARGET.fullmatch(line)
    if found is None:
        return None
    target, place, value = found.groups()
    if value.startswith(f"{name} ? "):
        return False
    if not place and target not in bits:
        return None
    if value == name:
        return True
    return False if _GATE.fullmatch(value) else None


def _belongs(item: list[str], moved: set[str]) -> bool:
    """Whether an item declares or computes a value that is not needed any more."""
    declared = _DECLARATION.fullmatch(item[0])
    if declared:
        return declared["name"] in moved
    found = next((found for line in item[1:] if (found := _ASSIGNMENT.match(line))), None)
    return item[0].startswith("  always @*") and found is not None and found[2] in moved


def _stored(lines: Sequence[str], value: str, register: str) -> list[str]:
    """A process's lines with a register in place of its next value."""
    name = f"{register} " if register.startswith("\\") else register
    stored = [
        f"{found[1]}{name}{found[3]} <= {found[4]}"
        if (found := _ASSIGNMENT.match(line)) and found[2] == value
        else line
        for line in lines
    ]
    # a register holds by itself
    holds = stored[0].replace(" ", "") == f"{register}<={register};"
    return stored[1:] if holds else stored


def _declared(items: Sequence[list[str]]) -> Iterator[list[str]]:
    """Declare wires without names together, by width."""
    groups: dict[str, list[str]] = {}
    for item in items:
        found = _DECLARATION.fullmatch(item[0])
        if found and len(item) == 1:
            groups.setdefault(f"{found['kind']}{found['range'] or ''}", []).append(found["name"])
    lines = [
        line
        for kind, names in groups.items()
        for line in wrap(f"{kind} {', '.join(names)};", COLUMNS, initial_indent="  ", subsequent_indent="    ")
    ]
    yield lines
    for item in items:
        if not (_DECLARATION.fullmatch(item[0]) and len(item) == 1):
            yield item


def _shortened(found: re.Match[str]) -> str:
    indent, condition, statement = found.groups()
    line = f"{indent}{condition} {statement}"
    return f"{line}\n" if not condition.startswith("end") and len(line) <= COLUMNS else found[0]
