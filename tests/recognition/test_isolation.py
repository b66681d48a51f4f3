"""Two hundred streams of one recognizer: whatever happens to one, it affects no other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.helpers.estimates import probabilities, run
from tests.helpers.many_streams import TOLERANCE, Client

STREAMS = 200
THREADS = 8
SAMPLES = 12 * 640
#: Bad blocks that some of the streams get in between.
NONSENSE = np.full(900, np.nan, np.float32)


@pytest.fixture(scope="module")
def inputs(speech):
    """Make each stream's input, with its own place and level."""
    generator = np.random.default_rng(0)
    firsts = generator.integers(0, len(speech) - SAMPLES, STREAMS)
    gains = 10.0 ** generator.uniform(-2, 0, STREAMS)
    return [
        speech[first : first + SAMPLES] * np.float32(gain)
        for first, gain in zip(firsts, gains, strict=True)
    ]


@pytest.fixture(scope="module")
def alone(shipped, inputs):
    return [run(shipped, samples) for samples in inputs]


def is_exactly(estimates, others):
    return [(e.time, e.label, e.speech) for e in estimates] == [
        (e.time, e.label, e.speech) for e in others
    ] and np.array_equal(probabilities(estimates), probabilities(others))


def interleave(recognizer, inputs, seed):
    """Run a thread's streams in random turns; some turns bring bad blocks."""
    generator = np.random.default_rng(seed)
    clients = [Client(recognizer, samples) for samples in inputs]
    refused = 0
    while unfinished := [client for client in clients if client.heard < len(client.samples)]:
        client = unfinished[generator.integers(len(unfinished))]
        if generator.random() < 0.1:
            with pytest.raises(ValueError, match="finite"):
                client.stream.accept(NONSENSE)
            refused += 1
        client.estimates += client.stream.accept(client.next_block(generator.integers(1, 4_000)))
    for client in clients:
        client.estimates += client.stream.flush()
    assert refused
    return [client.estimates for client in clients]


def test_each_stream_in_threads_is_exactly_as_if_alone(shipped, inputs, alone):
    shares = [range(STREAMS)[rank::THREADS] for rank in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        heard = pool.map(
            lambda share: interleave(shipped, [inputs[i] for i in share], share[0]), shares
        )
        for share, estimates in zip(shares, heard, strict=True):
            for index, one in zip(share, estimates, strict=True):
                assert is_exactly(one, alone[index]), index


def together(recognizer, inputs, poisoned=()):
    """Run all streams in batches; refuse those with bad blocks and run the rest again."""
    clients = [Client(recognizer, samples) for samples in inputs]
    while clients[0].heard < SAMPLES:
        streams = [client.stream for client in clients]
        blocks = [client.next_block(3 * 640) for client in clients]
        for index in poisoned:
            nonsense = [NONSENSE if i == index else block for i, block in enumerate(blocks)]
            with pytest.raises(ValueError, match=f"stream {index}: samples must be finite"):
                recognizer.accept_many(streams, nonsense)
        for client, estimates in zip(clients, recognizer.accept_many(streams, blocks), strict=True):
            client.estimates += estimates
    for client in clients:
        client.estimates += client.stream.flush()
    return [client.estimates for client in clients]


@pytest.fixture(scope="module")
def undisturbed(shipped, inputs):
    return together(shipped, inputs)


def test_streams_in_batches_are_each_as_if_alone(alone, undisturbed):
    for one, estimates in zip(alone, undisturbed, strict=True):
        assert np.abs(probabilities(estimates) - probabilities(one)).max() <= TOLERANCE
        assert [(e.time, e.label) for e in estimates] == [(e.time, e.label) for e in one]


def test_nonsense_in_one_stream_of_a_batch_moves_no_bit_of_any(shipped, inputs, undisturbed):
    disturbed = together(shipped, inputs, (3, 101, 199))
    for index, pair in enumerate(zip(disturbed, undisturbed, strict=True)):
        assert is_exactly(*pair), index
