"""Files of a burst: encoding and decoding of packets."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spikequant.cosim.simulator.burst import burst_bytes, recorded_packets

packets = st.lists(
    st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=5).map(lambda words: np.array(words, np.uint32)),
    max_size=5,
)


@given(packets)
def test_each_packet_is_its_length_and_its_words(sent: list[np.ndarray]) -> None:
    words = np.frombuffer(burst_bytes(sent), ">u4").tolist()
    for packet in sent:
        length = words.pop(0)
        assert words[:length] == packet.tolist()
        del words[:length]
    assert words == []


@given(packets, st.integers(0, 3))
def test_what_is_recorded_is_split_where_packets_end(sent: list[np.ndarray], cut: int) -> None:
    pairs = [(int(place == len(packet) - 1), word) for packet in sent for place, word in enumerate(packet.tolist())]
    pairs += [(0, 7)] * cut
    found = recorded_packets(np.array(pairs, "<u4").tobytes())
    assert [packet.tolist() for packet in found] == [packet.tolist() for packet in sent]
