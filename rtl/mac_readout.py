"""The multiply-accumulate array's output codes: a multiplication, a shift, a rounding and a limit."""

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib.wiring import Component, In, Out

from golden.mac import MULTIPLIER_BITS, SHIFT_STEP, first_shift, largest_step
from golden.spec import Spec
from rtl.fabric import FACTOR_BITS, AddSubtract, Multiplier
from rtl.shapes import code_layout, ready_layout


class Dequantizer(Component):
    """Codes by ``golden.mac.dequantize``; theta's place holds the multiplier and the number of its shift.

    Latency: ``latency(spec)`` cycles. Throughput: a membrane a cycle. Nothing ever waits.

    Attributes:
        i_valid, i: a complete membrane.
        o_valid, o: the same with its code.
        busy: a membrane is inside.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i_valid": In(1),
                "i": In(ready_layout(spec)),
                "o_valid": Out(1),
                "o": Out(code_layout(spec)),
                "busy": Out(1),
            }
        )

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from a membrane to its code: each block of the product but one is a sum more."""
        return Multiplier.latency + 4 + (-(-spec.biased_bits // FACTOR_BITS) - 1)

    def elaborate(self, _platform: object) -> Module:
        """Magnitude, product, sum of its blocks, shift, rounding, sign."""
        m = Module()
        spec = self._spec
        code_bits = spec.output_bits - 1
        valids: list[Value] = [self.i_valid]

        def stage(name: str, membrane: ValueLike, **values: Value) -> tuple[Signal, ...]:
            """All that goes on to the next stage, and that there is something."""
            membrane_after = Signal(ready_layout(spec), name=f"{name}_membrane", reset_less=True)
            valid = Signal(name=f"{name}_valid")
            after = [Signal.like(value, name=f"{name}_{key}", reset_less=True) for key, value in values.items()]
            m.d.sync += [membrane_after.eq(membrane), valid.eq(valids[-1])]
            m.d.sync += [new.eq(old) for new, old in zip(after, values.values(), strict=True)]
            valids.append(valid)
            return membrane_after, *after

        incoming = self.i
        m.submodules.absolute = absolute = AddSubtract(bits=spec.biased_bits)
        m.d.comb += [absolute.b.eq(incoming.membrane), absolute.subtract.eq(incoming.membrane < 0)]
        membrane, magnitude = stage("magnitude", incoming, value=absolute.total)

        products: list[Value] = []
        for low in range(0, spec.biased_bits, FACTOR_BITS):
            m.submodules[f"product_{low}"] = product = Multiplier()
            m.d.comb += [
                product.a.eq(magnitude[low : low + FACTOR_BITS]),
                product.b.eq(membrane.theta[:MULTIPLIER_BITS]),
            ]
            products.append(product.product)
        for number in range(Multiplier.latency):
            (membrane,) = stage(f"product_{number}", membrane)
        total, later = products[0], products[1:]
        place = FACTOR_BITS
        while later:
            wide = Cat(total, Const(0, 1)) + (later[0] << place)
            waiting = {f"product_{number}": product for number, product in enumerate(later[1:])}
            membrane, total, *later = stage(f"total_{place}", membrane, value=wide, **waiting)
            place += FACTOR_BITS

        # the code, the bit below it, and whether there is any above it, for each shift
        step = membrane.theta[MULTIPLIER_BITS:]
        choices, beyond = [], []
        for number in range(largest_step(spec) + 1):
            shift = first_shift(spec) + SHIFT_STEP * number
            choices.append(total[shift - 1 : shift + code_bits])
            beyond.append(total[shift + code_bits :].any())
        chosen = step[: max(1, largest_step(spec).bit_length())]
        membrane, found, large = stage(
            "shift", membrane, found=Array(choices)[chosen], large=Array(beyond)[chosen] | Const(0, 1)
        )
        limit = large | found[1:].all()
        membrane, code = stage(
            "rounded", membrane, code=Mux(limit, 2**code_bits - 1, (found[1:] + found[0])[:code_bits])[:code_bits]
        )
        m.submodules.sign = signed_code = AddSubtract(bits=spec.output_bits)
        m.d.comb += [signed_code.b.eq(code), signed_code.subtract.eq(membrane.membrane < 0)]
        m.d.sync += [
            self.o_valid.eq(valids[-1]),
            self.o.membrane.eq(membrane.membrane),
            self.o.code.eq(signed_code.total),
            self.o.saturated.eq(membrane.saturated),
            self.o.slot.eq(membrane.slot),
            self.o.final.eq(membrane.final),
            self.busy.eq(Cat(valids).any()),
        ]
        return m
