"""The multiply-accumulate array's output codes: a multiplication, a shift, a rounding and a limit."""

from itertools import pairwise, zip_longest

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib.wiring import Component, In, Out

from spikequant.benchmarks.twin.arithmetic import MULTIPLIER_BITS, SHIFT_STEP, first_shift, largest_step
from spikequant.benchmarks.twin.products import FACTOR_BITS, Multiplier
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.carry import AddSubtract
from spikequant.rtl.interfaces import Flow
from spikequant.rtl.shapes import code_layout, ready_layout


class Dequantizer(Component):
    """Codes by ``dequantize``; ``theta`` holds the multiplier and the number of its shift.

    Latency: ``latency(spec)`` cycles. Throughput: a membrane a cycle. Handshake: none.

    Attributes:
        i: a complete membrane.
        o: the membrane with its code.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(Flow(ready_layout(spec))),
                "o": Out(Flow(code_layout(spec))),
            }
        )

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from a membrane to its code: each multiplier block after the first adds one."""
        return Multiplier.latency + 5 + (-(-spec.biased_bits // FACTOR_BITS) - 1)

    def elaborate(self, _platform: object) -> Module:
        """Magnitude, product, sum of its blocks, shift, rounding, sign."""
        m = Module()
        spec = self._spec
        code_bits = spec.output_bits - 1
        valids: list[Value] = [self.i.valid]

        def stage(name: str, membrane: ValueLike, **values: Value) -> tuple[Signal, ...]:
            """The values and ``valid`` in the next stage."""
            membrane_after = Signal(ready_layout(spec), name=f"{name}_membrane", reset_less=True)
            valid = Signal(name=f"{name}_valid")
            after = [Signal.like(value, name=f"{name}_{key}", reset_less=True) for key, value in values.items()]
            m.d.sync += [membrane_after.eq(membrane), valid.eq(valids[-1])]
            m.d.sync += [new.eq(old) for new, old in zip(after, values.values(), strict=True)]
            valids.append(valid)
            return membrane_after, *after

        incoming = self.i.value
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
            wide = Cat(total[:place], total[place:] + later[0])
            waiting = {f"product_{number}": product for number, product in enumerate(later[1:])}
            membrane, total, *later = stage(f"total_{place}", membrane, value=wide, **waiting)
            place += FACTOR_BITS

        # the code and the bit below it, and whether there is any above it, for each shift: one of two, then one of all
        step = membrane.theta[MULTIPLIER_BITS:][: max(1, largest_step(spec).bit_length())]
        count = largest_step(spec) + 1
        lows = [first_shift(spec) + SHIFT_STEP * number - 1 for number in range(count)]
        choices = [total[low : low + code_bits + 1] for low in lows]
        bounds = [low + code_bits + 1 for low in lows]
        beyond = [total[low:high].any() for low, high in pairwise([*bounds, len(total)])]
        membrane, chosen, above = stage(
            "choice",
            membrane,
            found=Cat(
                Mux(step[0], high, low) for low, high in zip_longest(choices[::2], choices[1::2], fillvalue=Const(0))
            ),
            above=Cat(beyond),
        )
        step = membrane.theta[MULTIPLIER_BITS:][: max(1, largest_step(spec).bit_length())]
        pairs = [chosen.word_select(pair, code_bits + 1) for pair in range(-(-count // 2))]
        membrane, found, large = stage(
            "shift",
            membrane,
            found=Array(pairs)[step[1:]] if len(pairs) > 1 else pairs[0],
            large=Cat(above[number] & (step <= number) for number in range(count)).any(),
        )
        limit = large | found[1:].all()
        membrane, code = stage(
            "rounded", membrane, code=Mux(limit, 2**code_bits - 1, (found[1:] + found[0])[:code_bits])[:code_bits]
        )
        m.submodules.sign = signed_code = AddSubtract(bits=spec.output_bits)
        m.d.comb += [signed_code.b.eq(code), signed_code.subtract.eq(membrane.membrane < 0)]
        m.d.sync += [
            self.o.valid.eq(valids[-1]),
            self.o.value.membrane.eq(membrane.membrane),
            self.o.value.code.eq(signed_code.total),
            self.o.value.saturated.eq(membrane.saturated),
            self.o.value.brief.eq(membrane.brief),
        ]
        return m
