"""Properties of ``spikequant.rtl.fabric.carry``: plain logic and ECP5 cells of each circuit are equivalent."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from amaranth.hdl import Const, Fragment, Module, Value
from amaranth.lib.wiring import Component, Flow, Out
from amaranth_boards.ulx3s import ULX3S_85F_Platform

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.harness import Harness, anything, check, cycles
from spikequant.cosim.formal.property import AllInputs, AnyState, Method, Property
from spikequant.rtl.fabric import CELL_MODELS
from spikequant.rtl.fabric.carry import (
    INVERTED_PRODUCT,
    NOTHING,
    PRODUCT,
    Accumulator,
    AddSubtract,
    ChoosingAdder,
    GatedAdder,
    JoinedAddSubtract,
    Multiplier,
    ProductSums,
    Replica,
    SignedSums,
    SumShape,
)

MODELS = "+/ecp5/cells_sim.v"
"""Yosys's models of the ECP5's cells."""

MULTIPLIER_MODEL = CELL_MODELS / "multiplier.v"
"""Model of the multiplier block, which Yosys does not have."""

BOTH = (PRODUCT, PRODUCT)
PRODUCTS = {
    "of one column": (SumShape((BOTH,)),),
    "with a carry": (SumShape((BOTH, BOTH), carry_in=PRODUCT),),
    "with a carry between": (
        SumShape((BOTH, (PRODUCT, NOTHING), BOTH)),
        SumShape((BOTH, (INVERTED_PRODUCT, PRODUCT)), carry_in=INVERTED_PRODUCT),
        SumShape(((NOTHING, PRODUCT), (PRODUCT, INVERTED_PRODUCT)), carry_in=PRODUCT),
    ),
    "all inverted": (
        SumShape(((INVERTED_PRODUCT, INVERTED_PRODUCT),) * 3, carry_in=INVERTED_PRODUCT),
        SumShape(((INVERTED_PRODUCT, NOTHING),) * 2),
    ),
    "without a carry out": (SumShape((BOTH, BOTH)), SumShape((BOTH, (NOTHING, NOTHING), BOTH), carry_out=False)),
}

CIRCUITS: dict[str, Callable[[], Component]] = {
    **{
        f"{count} sums of {bits}": partial(SignedSums, bits=bits, count=count)
        for bits, count in ((1, 1), (4, 4), (5, 3), (8, 4))
    },
    **{f"accumulator of {bits}": partial(Accumulator, bits=bits) for bits in (1, 2, 7, 20)},
    **{f"add or subtract {bits}": partial(AddSubtract, bits=bits) for bits in (1, 6, 33)},
    **{f"gated adder of {bits}": partial(GatedAdder, bits=bits) for bits in (1, 5, 40)},
    **{f"gated difference of {bits}": partial(GatedAdder, bits=bits, subtract=True) for bits in (1, 6, 21)},
    **{f"choosing adder of {bits}": partial(ChoosingAdder, bits=bits) for bits in (1, 7, 40)},
    **{f"joined add or subtract {bits}": partial(JoinedAddSubtract, bits=bits) for bits in (1, 6, 34)},
    **{f"products {name}": partial(ProductSums, shapes) for name, shapes in PRODUCTS.items()},
}
"""Circuits without registers."""


class SideBySide(Component):
    """Both forms of a circuit on the same inputs; ``differs`` is 1 if any of their outputs differ."""

    def __init__(self, circuit: Callable[[], Component]) -> None:
        self._portable, self._primitive = circuit(), circuit()
        members = self._portable.signature.members.items()
        inputs = {name: member for name, member in members if member.flow == Flow.In}
        super().__init__(inputs | {"differs": Out(1)})

    @property
    def inputs(self) -> list[Value]:
        """Inputs of both forms."""
        return [
            Value.cast(getattr(self, name))
            for name, member in self._portable.signature.members.items()
            if member.flow == Flow.In
        ]

    def elaborate(self, platform: object) -> Module:
        """Elaborate one form for the platform, and the other one without it."""
        m = Module()
        portable, primitive = self._portable, self._primitive
        m.submodules.portable = Fragment.get(portable, None)
        m.submodules.primitive = Fragment.get(primitive, platform)
        differs: Value = Const(0)
        for name, member in portable.signature.members.items():
            if member.flow == Flow.In:
                m.d.comb += [getattr(form, name).eq(getattr(self, name)) for form in (portable, primitive)]
            else:
                differs |= Value.cast(getattr(portable, name)) != Value.cast(getattr(primitive, name))
        m.d.comb += self.differs.eq(differs)
        return m


class Equal(Harness):
    """Both forms have equal outputs, from ``latency`` cycles after the reset on."""

    def __init__(self, circuit: Callable[[], Component], *, latency: int = 0) -> None:
        self._circuit = circuit
        self._latency = latency

    def describe(self, m: Module) -> None:
        """Drive free inputs."""
        m.submodules.both = both = SideBySide(self._circuit)
        for number, value in enumerate(both.inputs):
            m.d.comb += value.eq(anything(m, len(value), f"input_{number}"))
        filled = cycles(m, self._latency) == self._latency if self._latency else Const(1)
        check(m, ~filled | ~both.differs, "both forms are equal")


def properties() -> Iterator[Property]:
    """Return a property for each circuit and width."""

    def equal(
        name: str,
        component: str,
        circuit: Callable[[], Component],
        method: Method,
        *,
        latency: int = 0,
        models: Mapping[str, str] | None = None,
        prepare: tuple[str, ...] = (),
    ) -> Property:
        return Property(
            name=f"fabric.{name.replace(' ', '-')}",
            component=component,
            specification="ECP5 cells and plain logic are equivalent",
            method=method,
            circuit=partial(
                around,
                partial(Equal, circuit, latency=latency),
                platform=ULX3S_85F_Platform,
                models=models or {MODELS: ""},
                prepare=prepare,
            ),
        )

    for name, circuit in CIRCUITS.items():
        yield equal(name, name, circuit, AllInputs())
    yield equal("registers", "Replica of 4", lambda: Replica(4), AnyState(3), latency=1)
    yield equal("reset registers", "Replica of 4 with a reset", lambda: Replica(4, init=0b0110), AnyState(3))
    yield equal(
        "multiplier",
        "Multiplier",
        Multiplier,
        AnyState(Multiplier.latency + 2),
        latency=Multiplier.latency,
        models={MULTIPLIER_MODEL.name: MULTIPLIER_MODEL.read_text(encoding="utf-8")},
        # merge equal registers, and then the multiplications
        prepare=("opt -full", "wreduce", "opt -share_all -full"),
    )
