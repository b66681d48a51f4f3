"""Many streams in one call: each behaves as if it were alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.recognition.recognizer import Recognizer
from tests.helpers.many_streams import Client, assert_as_if_alone

sizes = st.one_of(st.just(640), st.integers(0, 2_000), st.integers(0, 12_000))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_streams_that_come_and_go_are_each_as_if_alone(shipped, speech, data):
    clients, gone = [], []
    for _ in range(data.draw(st.integers(1, 12), label="calls")):
        for _ in range(data.draw(st.integers(0, 5), label="joining")):
            first = data.draw(st.integers(0, len(speech) - 40_000))
            clients.append(Client(shipped, speech[first : first + 40_000]))
        present = [client for client in clients if data.draw(st.integers(0, 3))]
        blocks = [client.next_block(data.draw(sizes)) for client in present]
        results = shipped.accept_many([client.stream for client in present], blocks)
        for client, estimates in zip(present, results, strict=True):
            client.estimates += estimates
        leaving = [client for client in clients if not data.draw(st.integers(0, 7))]
        for client in leaving:
            clients.remove(client)
            gone.append(client)
    for client in clients + gone:
        client.estimates += client.stream.flush()
        assert_as_if_alone(shipped, client.samples[: client.heard], client.estimates)


def test_a_hundred_streams_step_for_step_are_each_as_if_alone(shipped, speech):
    clients = [Client(shipped, speech[640 * i : 640 * i + 32_000]) for i in range(100)]
    for step in range(50):
        present = [c for i, c in enumerate(clients) if (i + step) % 11]  # some skip a turn
        blocks = [client.next_block(640) for client in present]
        results = shipped.accept_many([client.stream for client in present], blocks)
        for client, estimates in zip(present, results, strict=True):
            client.estimates += estimates
    for client in clients[::9]:
        client.estimates += client.stream.flush()
        assert_as_if_alone(shipped, client.samples[: client.heard], client.estimates)


def test_a_stream_goes_on_alone_after_company(shipped, speech):
    client, other = Client(shipped, speech[:40_000]), shipped.stream()
    for turn in range(20):
        block = client.next_block(2_000)
        if turn % 2:
            client.estimates += client.stream.accept(block)
        else:
            estimates, _ = shipped.accept_many([client.stream, other], [block, speech[:1_500]])
            client.estimates += estimates
    client.estimates += client.stream.flush()
    assert_as_if_alone(shipped, client.samples, client.estimates)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_stream_with_nonsense_is_refused_and_the_others_are_untouched(shipped, speech, value):
    clients = [Client(shipped, speech[first : first + 20_000]) for first in (0, 9_000, 30_000)]
    streams = [client.stream for client in clients]
    for client, estimates in zip(
        clients,
        shipped.accept_many(streams, [client.next_block(7_000) for client in clients]),
        strict=True,
    ):
        client.estimates += estimates
    blocks = [np.full(900, value, np.float32) if i == 1 else c.samples[:900] for i, c in
              enumerate(clients)]  # fmt: skip
    with pytest.raises(ValueError, match="stream 1: samples must be finite"):
        shipped.accept_many(streams, blocks)
    for client in clients:
        client.estimates += client.stream.accept(client.next_block(13_000))
        client.estimates += client.stream.flush()
        assert_as_if_alone(shipped, client.samples, client.estimates)


def test_streams_that_cannot_step_together_are_refused(shipped, speech):
    stream, ended = shipped.stream(), shipped.stream()
    ended.flush()
    block = speech[:100]
    with pytest.raises(RuntimeError, match="stream 1: the stream was flushed"):
        shipped.accept_many([stream, ended], [block, block])
    with pytest.raises(ValueError, match="one block at a time"):
        shipped.accept_many([stream, stream], [block, block])
    twin = shipped.stream()
    twin.state = stream.state
    with pytest.raises(ValueError, match="one block at a time"):
        shipped.accept_many([stream, twin], [block, block])
    with pytest.raises(ValueError, match="another recognizer"):
        shipped.accept_many([Recognizer.load().stream()], [block])
    assert shipped.accept_many([], []) == []


def test_a_used_state_is_refused(shipped, speech):
    """It moves on in place; continuing from the old state would be wrong, without an error."""
    stream = shipped.stream()
    stream.accept(speech[:16_000])
    before = stream.state
    stream.accept(speech[16_000:32_000])
    with pytest.raises(RuntimeError, match="used up"):
        shipped.accept(speech[16_000:32_000], before)


def test_a_used_up_state_among_others_is_refused_and_all_streams_go_on(shipped, speech):
    clients = [Client(shipped, speech[640 * i : 640 * i + 16_000]) for i in range(16)]
    streams = [client.stream for client in clients]

    def hear_together():
        blocks = [client.next_block(640) for client in clients]
        for client, estimates in zip(clients, shipped.accept_many(streams, blocks), strict=True):
            client.estimates += estimates

    hear_together()
    older = streams[5].state
    hear_together()
    newest, streams[5].state = streams[5].state, older
    with pytest.raises(RuntimeError, match="stream 5: this state was used up"):
        shipped.accept_many(streams, [speech[:3_200]] * 16)
    streams[5].state = newest
    while clients[0].heard < 16_000:
        hear_together()
    for client in clients:
        client.estimates += client.stream.flush()
        assert_as_if_alone(shipped, client.samples, client.estimates)


def test_a_state_is_used_up_in_any_company(shipped, speech):
    """Also if it was stepped in another batch than its own."""
    for then in (1, 2, 3):
        streams = [shipped.stream() for _ in range(3)]
        shipped.accept_many(streams[:2], [speech[:6_400]] * 2)
        before = streams[0].state
        shipped.accept_many(streams[:then], [speech[6_400:12_800]] * then)
        for call in (lambda state: shipped.accept(speech[:100], state), shipped.flush):
            with pytest.raises(RuntimeError, match="used up"):
                call(before)
        streams[1].accept(speech[6_400:12_800])  # the stream that it left behind goes on
