from collections.abc import Awaitable, Callable
from typing import Any

from spikequant.fpga.link.codec import FrameReader, encode_frame
from spikequant.fpga.link.link import Link
from spikequant.fpga.link.protocol import MAGIC, VERSION, Control, Hello, Identity, Kind
from spikequant.rtl.driver.layouts import pack, unpack

Simulate = Callable[..., None]
IDENTITY = Identity(name="Echo", digest=0xC0DBDCDD01020304)
DEPTH = 16


def frame(kind: int, payload: list[int] = [], **control: int) -> bytes:  # noqa: B006
    return encode_frame([*payload, *pack(Control, kind=kind, **control)])


class Stand:
    """A link without a line: bytes go in at once, and come out as fast as they are taken."""

    def __init__(self, *, byte_cycles: int = 4) -> None:
        self.dut = Link(IDENTITY, buffer_words=DEPTH)
        self.byte_cycles = byte_cycles
        self.taking = True
        self.delivered: list[tuple[int, int]] = []
        self.frames: list[tuple[dict[str, Any], list[int]]] = []
        self.restarts = 0

    async def send(self, ctx: Any, raw: bytes) -> None:
        for byte in raw:
            ctx.set(self.dut.i.payload, {"data": byte, "broken": 0})
            ctx.set(self.dut.i.valid, 1)
            await ctx.tick()
            ctx.set(self.dut.i.valid, 0)
            await ctx.tick().repeat(self.byte_cycles - 1)
        await ctx.tick().repeat(20)

    async def offer(self, ctx: Any, words: list[tuple[int, int]]) -> None:
        """Words of the accelerator, as long as they are taken at once."""
        for word, last in words:
            ctx.set(self.dut.source.payload, {"data": word, "last": last})
            ctx.set(self.dut.source.valid, 1)
            *_, ready = await ctx.tick().sample(self.dut.source.ready)
            ctx.set(self.dut.source.valid, 0)
            assert ready

    async def answers(self, ctx: Any, count: int) -> list[tuple[dict[str, Any], list[int]]]:
        """The next frames of the board, as control fields and payload."""
        for _ in range(4000):
            if len(self.frames) >= count:
                break
            await ctx.tick()
        await ctx.tick().repeat(200)
        found, self.frames = self.frames, []
        assert len(found) == count, found
        return found

    async def open(self, ctx: Any, session: int) -> dict[str, Any]:
        await self.send(ctx, frame(Kind.HELLO, session=session))
        [(control, payload)] = await self.answers(ctx, 1)
        assert (control["kind"], control["session"]) == (Kind.HELLO, session)
        return {**unpack(Hello, payload), "control": control}

    async def watch(self, ctx: Any) -> None:
        dut, reader = self.dut, FrameReader(max_words=100)
        while True:
            ctx.set(dut.sink.ready, self.taking)
            ctx.set(dut.o.ready, 1)
            signals = (dut.sink.valid, dut.sink.payload, dut.o.valid, dut.o.payload, dut.restart)
            taking = self.taking
            _, _, valid, word, out, byte, restart = await ctx.tick().sample(*signals)
            self.restarts += restart
            if valid and taking:
                self.delivered.append((word.data, word.last))
            if out:
                for words in reader.feed(bytes([byte])):
                    assert words is not None
                    self.frames.append((unpack(Control, words[-2:]), words[:-2]))

    def run(self, simulate: Simulate, session: Callable[[Any], Awaitable[None]]) -> None:
        simulate(self.dut, session, background=[self.watch])


def test_a_session_begins_with_a_hello_that_tells_who_answers(simulate: Simulate) -> None:
    stand = Stand()

    async def session(ctx: Any) -> None:
        hello = await stand.open(ctx, 77)
        assert (hello["magic"], hello["version"], hello["buffer_words"]) == (MAGIC, VERSION, DEPTH)
        assert (hello["digest"], hello["name"]) == (IDENTITY.digest, IDENTITY.name_bits)
        assert {name: hello["control"][name] for name in ("sequence", "acknowledge", "limit")} == {
            "sequence": 0,
            "acknowledge": 0,
            "limit": DEPTH,
        }
        await stand.send(ctx, frame(Kind.DATA, [5, 6], sequence=0, last=1, session=77))
        await stand.answers(ctx, 1)
        again = await stand.open(ctx, 77)
        assert again["control"]["acknowledge"] == 2
        assert stand.restarts == 1
        new = await stand.open(ctx, 78)
        assert new["control"]["acknowledge"] == 0
        assert stand.restarts == 2

    stand.run(simulate, session)
    assert stand.delivered == [(5, 0), (6, 1)]


def test_each_word_is_delivered_once_and_in_order(simulate: Simulate) -> None:
    stand = Stand()

    async def session(ctx: Any) -> None:
        await stand.send(ctx, frame(Kind.DATA, [1], session=9))
        # there is no session yet
        [(control, _)] = await stand.answers(ctx, 1)
        assert control["session"] == 0
        await stand.open(ctx, 9)
        script: list[tuple[bytes, int, int]] = [
            (frame(Kind.DATA, [10, 11], sequence=0, session=9), 2, 0),
            (frame(Kind.DATA, [10, 11], sequence=0, session=9), 2, 0),
            (frame(Kind.DATA, [99], sequence=3, session=9), 2, 1),
            (frame(Kind.DATA, [12], sequence=2, last=1, session=8), 2, 0),
            (frame(Kind.DATA, [], sequence=2, last=1, session=9), 2, 1),
            (frame(Kind.STATE, [55, 56], sequence=2, session=9), 2, 0),
            (frame(Kind.DATA, [12], sequence=2, last=1, session=9)[:-4] + b"\0\xc0", 2, 1),
            (encode_frame([12, *(word | 15 for word in pack(Control, kind=Kind.DATA, session=9))]), 2, 0),
            (frame(Kind.DATA, [12], sequence=2, last=1, session=9), 3, 0),
        ]
        for raw, acknowledge, again in script:
            await stand.send(ctx, raw)
            [(control, payload)] = await stand.answers(ctx, 1)
            assert (control["kind"], payload) == (Kind.STATE, [])
            assert (control["acknowledge"], control["again"]) == (acknowledge, again)
        hello = await stand.open(ctx, 9)
        assert (hello["damaged"], hello["refused"], hello["overruns"]) == (1, 6, 0)

    stand.run(simulate, session)
    assert stand.delivered == [(10, 0), (11, 0), (12, 1)]


def test_a_frame_that_finds_no_room_is_asked_for_again(simulate: Simulate) -> None:
    stand = Stand()
    stand.taking = False

    async def session(ctx: Any) -> None:
        await stand.open(ctx, 3)
        await stand.send(ctx, frame(Kind.DATA, list(range(12)), sequence=0, session=3))
        [(control, _)] = await stand.answers(ctx, 1)
        assert (control["acknowledge"], control["limit"]) == (12, DEPTH)
        await stand.send(ctx, frame(Kind.DATA, list(range(12, 17)), sequence=12, session=3))
        [(control, _)] = await stand.answers(ctx, 1)
        assert (control["acknowledge"], control["again"]) == (12, 1)
        await stand.send(ctx, frame(Kind.DATA, list(range(12, 16)), sequence=12, session=3))
        [(control, _)] = await stand.answers(ctx, 1)
        assert control["acknowledge"] == 16
        stand.taking = True
        # as the accelerator takes words, the host hears of it unasked
        await ctx.tick().repeat(500)
        assert stand.frames[-1][0]["limit"] > DEPTH + 12
        await stand.send(ctx, frame(Kind.DATA, [77], sequence=16, last=1, session=3))
        stand.frames.clear()
        assert (await stand.open(ctx, 3))["overruns"] == 1

    stand.run(simulate, session)
    assert stand.delivered == [*((word, 0) for word in range(16)), (77, 1)]


def test_results_go_again_from_where_the_host_says(simulate: Simulate) -> None:
    stand = Stand()

    async def session(ctx: Any) -> None:
        await stand.open(ctx, 4)
        words = [(100 + index, int(index == 9)) for index in range(10)]
        await stand.offer(ctx, words)
        heard: list[tuple[int, list[int], int]] = []
        for _ in range(100):
            await ctx.tick().repeat(40)
            heard = [(control["sequence"], payload, control["last"]) for control, payload in stand.frames]
            if heard and heard[-1][2]:
                break
        assert [word for _, payload, _ in heard for word in payload] == [word for word, _ in words]
        stand.frames.clear()
        # nothing acknowledged, frames of four words wanted
        await stand.send(ctx, frame(Kind.STATE, acknowledge=0, again=1, size=2, session=4))
        again = await stand.answers(ctx, 3)
        assert [(control["sequence"], control["last"], payload) for control, payload in again] == [
            (0, 0, [100, 101, 102, 103]),
            (4, 0, [104, 105, 106, 107]),
            (8, 1, [108, 109]),
        ]
        await stand.send(ctx, frame(Kind.STATE, acknowledge=5, again=1, size=7, session=4))
        again = await stand.answers(ctx, 1)
        assert (again[0][0]["sequence"], again[0][1]) == (5, [105, 106, 107, 108, 109])
        # nobody can have had word 11, so word 5 is still the first
        await stand.send(ctx, frame(Kind.STATE, acknowledge=11, again=1, size=7, session=4))
        again = await stand.answers(ctx, 1)
        assert (again[0][0]["sequence"], again[0][0]["last"]) == (5, 1)
        await stand.send(ctx, frame(Kind.STATE, acknowledge=10, size=7, session=4))
        [(control, payload)] = await stand.answers(ctx, 1)
        assert (control["kind"], payload, control["sequence"]) == (Kind.STATE, [], 10)

    stand.run(simulate, session)


def test_a_full_outbox_waits_for_the_host(simulate: Simulate) -> None:
    stand = Stand()

    async def session(ctx: Any) -> None:
        await stand.open(ctx, 4)
        await stand.offer(ctx, [(index, 0) for index in range(DEPTH)])
        *_, ready = await ctx.tick().sample(stand.dut.source.ready)
        assert not ready
        await stand.send(ctx, frame(Kind.STATE, acknowledge=3, size=7, session=4))
        *_, ready = await ctx.tick().sample(stand.dut.source.ready)
        assert ready

    stand.run(simulate, session)


def test_a_frame_that_a_new_session_cuts_is_of_the_old_one(simulate: Simulate) -> None:
    stand = Stand()

    async def session(ctx: Any) -> None:
        await stand.open(ctx, 4)
        raw = frame(Kind.HELLO, session=5)
        # all but the last byte ahead of the results, so that the restart comes into the frame with them
        for byte in raw[:-1]:
            await stand.send(ctx, bytes([byte]))
        await stand.offer(ctx, [(index, 0) for index in range(12)])
        await ctx.tick().repeat(30)
        await stand.send(ctx, raw[-1:])
        (cut, payload), (hello, _) = await stand.answers(ctx, 2)
        assert (cut["kind"], cut["session"]) == (Kind.DATA, 4)
        assert payload == list(range(len(payload)))
        assert len(payload) < 12
        assert (hello["kind"], hello["session"], hello["sequence"]) == (Kind.HELLO, 5, 0)

    stand.run(simulate, session)
