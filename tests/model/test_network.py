"""The torch networks: streaming equals offline, look-ahead equals the configuration's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.attention import window_attention
from model.config import CONFIGURATIONS, BlockConfig, NetworkConfig, immediate, live, paper
from model.contract import Moment
from model.layers import Dropout, filter_features
from model.network import Network, look_ahead_ms
from model.voice import HEARD, KNOWN, MEMORY_TIMESTEPS, SHARE, UNHEARD, VoiceMemory, averaged
from tests.helpers.networks import enlivened, lively_network, stream

pytestmark = pytest.mark.usefixtures("without_gradients")

ATTENTIONS = ("timestep", "statistics", "context", "mean")


def network_with(attention):
    """Make a live network with another attention, in which every weight matters."""
    network = enlivened(replace(live(), attention=attention))
    if attention == "context":
        torch.nn.init.normal_(network.attention.age)
    return network


@pytest.fixture
def without_gradients():
    with torch.no_grad():
        yield


def every_network():
    """Make the named networks, and the live network with every attention."""
    return [
        *(pytest.param(lambda name=name: lively_network(name), id=name) for name in CONFIGURATIONS),
        *(pytest.param(lambda name=name: network_with(name), id=name) for name in ATTENTIONS),
    ]


@pytest.mark.parametrize("make", every_network())
@pytest.mark.parametrize("timesteps", [1, 2, 7, 140])
def test_streaming_equals_offline(make, timesteps):
    network = make()
    features = torch.rand(2, timesteps, 4, 201, generator=torch.Generator().manual_seed(timesteps))
    logits, attention = network(features)
    streamed, streamed_attention = stream(network, features)
    assert streamed.shape == logits.shape == (2, timesteps, 4)
    torch.testing.assert_close(
        torch.softmax(streamed, -1), torch.softmax(logits, -1), atol=1e-5, rtol=0
    )
    torch.testing.assert_close(streamed_attention, attention, atol=1e-5, rtol=0)


def test_empty_input_gives_empty_output():
    logits, attention = lively_network("live")(torch.zeros(2, 0, 4, 201))
    assert (logits.shape, attention.shape) == ((2, 0, 4), (2, 0, live().window_timesteps))


@pytest.mark.parametrize("level", [False, True])
def test_the_voice_memory_streams_exactly(level):
    config = replace(live(), attention="context", ordinary=True, voice=True, level=level)
    network = enlivened(config)
    features = torch.rand(3, 150, 4, 201, generator=torch.Generator().manual_seed(5))
    heard = torch.randint(0, 3, (3, 150), generator=torch.Generator().manual_seed(6)).float()
    heard[0] = 0
    if level:
        levels = torch.randn(3, 150, generator=torch.Generator().manual_seed(8))
        heard = torch.stack([heard, -30 + 6 * levels], dim=-1)
    logits, _ = network(features, heard)
    streamed, _ = stream(network, features, heard)
    torch.testing.assert_close(
        torch.softmax(streamed, -1), torch.softmax(logits, -1), atol=1e-5, rtol=0
    )
    unknown, _ = network(features)
    torch.testing.assert_close(unknown[0], logits[0])
    torch.testing.assert_close(unknown[1:, 0], logits[1:, 0])  # there was nothing before it
    assert (unknown[1:, 100] - logits[1:, 100]).abs().max() > 1e-2


def taking_in(memory, pooled, how, state):
    """Return the state of a voice memory after one more timestep."""
    x = pooled[:, None], torch.tensor([[how]])
    _, state = memory.step(x, Moment.of(memory, torch.tensor([[0]]), torch.tensor([1])), state)
    return state


def memory_of_voices():
    torch.manual_seed(2)
    memory = VoiceMemory(live(), 6).eval()
    torch.nn.init.normal_(memory.differ.weight)
    return memory


def test_a_voice_is_the_mean_of_its_known_timesteps():
    memory = memory_of_voices()
    pooled = torch.randn(1, 40, 6)
    state = memory.initial_state(1)
    for row in pooled[0]:
        state = taking_in(memory, row[None], KNOWN, state)
    # In 40 timesteps, with a time constant of a minute, next to nothing is forgotten.
    torch.testing.assert_close(state[0, 0, :-1], pooled[0].mean(0), atol=0.02, rtol=0)
    assert 39.4 < state[0, 0, -1] < 40
    same = taking_in(memory, 10 + pooled[:, 0], UNHEARD, state)
    assert torch.equal(same, state)
    learnt = taking_in(memory, 10 + pooled[:, 0], HEARD, state)
    assert 0 < (learnt - state)[0, 0, -1] < 1  # as far as it sounds ordinary


def test_a_voice_is_forgotten_after_minutes():
    memory = memory_of_voices()
    state = memory.initial_state(1)
    for value, timesteps in ((1.0, 1500), (-1.0, 6000)):
        for _ in range(timesteps):
            state = taking_in(memory, torch.full((1, 6), value), KNOWN, state)
    assert state[0, 0, -1] <= MEMORY_TIMESTEPS
    assert state[0, 0, 0] < -0.95


def test_a_memory_that_hears_levels_tells_louder_from_softer_speech():
    torch.manual_seed(2)
    memory = VoiceMemory(replace(live(), voice=True, level=True), 6).eval()
    torch.nn.init.normal_(memory.level_classifier.weight)
    pooled, heard = torch.randn(1, 40, 6), torch.full((1, 40), KNOWN)
    heard[:, 20:] = UNHEARD
    levels = torch.full((1, 40, 1), -30.0)
    levels[:, 30:] += 8.0

    def answers(levels):
        answer, _ = memory((torch.cat([pooled, levels], dim=-1), heard))
        return answer

    usual = answers(torch.full((1, 40, 1), -30.0))
    assert torch.equal(answers(levels)[:, :30], usual[:, :30])
    assert (answers(levels) - usual)[:, 30:].abs().min() > 0.1
    # A microphone that makes all of it softer changes nothing once the voice is known.
    torch.testing.assert_close(answers(levels - 15.0)[:, 1:], answers(levels)[:, 1:])


def test_the_weight_of_a_voice_is_zero_until_it_is_known():
    memory = memory_of_voices()
    pooled = torch.randn(2, 30, 6)
    _, believed = memory((pooled, torch.full((2, 30), UNHEARD)))
    assert not believed.any()
    _, believed = memory((pooled, torch.full((2, 30), KNOWN)))
    assert not believed[:, 0].any()  # an estimate uses the memory before its timestep
    assert (believed.diff(dim=1) > 0).all() and believed[:, 25] == pytest.approx(0.5, abs=0.01)


def test_an_answer_by_the_voice_has_at_most_half_of_the_mean():
    own, other = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    for believed in (0.0, 0.5, 1.0):
        mean = averaged(own, other, torch.tensor([[believed]]))
        expected = [[1 - SHARE * believed, SHARE * believed * 4.0]]
        torch.testing.assert_close(mean, torch.tensor(expected))


blocks = st.lists(
    st.builds(
        BlockConfig, st.integers(0, 5), st.integers(0, 3), st.integers(1, 3), st.integers(1, 3)
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=40, deadline=None)
@given(
    front=st.sampled_from(["convolution", "frames"]),
    frames_ahead=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    blocks=blocks,
    taps=st.sampled_from(["scalar", "vector"]),
    attention=st.sampled_from(ATTENTIONS),
    timesteps=st.integers(1, 12),
)
def test_any_shape_streams_exactly(front, frames_ahead, blocks, taps, attention, timesteps):
    torch.manual_seed(3)
    config = NetworkConfig(
        ("a", "b"),
        front=front,
        channels=(2, 3),
        frames_ahead=frames_ahead,
        hidden=8,
        memory=4,
        blocks=tuple(blocks),
        taps=taps,
        attention=attention,
        attention_hidden=4,
        window_timesteps=6,
    )
    network = Network(config).eval()
    if attention == "context":
        torch.nn.init.normal_(network.attention.age)
    features = torch.rand(1, timesteps, 4, 201)
    offline, _ = network(features)
    torch.testing.assert_close(stream(network, features)[0], offline, atol=1e-5, rtol=0)


@pytest.mark.parametrize("make", every_network())
def test_estimates_depend_on_the_declared_look_ahead_and_no_more(make):
    network = make()
    delay, at = network.latency, 3
    features = torch.rand(1, at + delay + 4, 4, 201)
    logits, _ = network(features)
    later, last = features.clone(), features.clone()
    later[:, at + delay + 1 :] += 1
    last[:, at + delay] += 1
    torch.testing.assert_close(network(later)[0][:, at], logits[:, at], atol=1e-6, rtol=0)
    assert (network(last)[0][:, at] - logits[:, at]).abs().max() > 1e-6


@pytest.mark.parametrize("make", every_network())
def test_attention_is_a_distribution_over_existing_timesteps(make):
    _, attention = make()(torch.rand(1, 30, 4, 201))
    torch.testing.assert_close(attention.sum(-1), torch.ones(1, 30))
    assert not attention[0, 9, :-10].any()
    assert attention[0, 9, -10:].all()


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_timesteps_outside_the_window_have_no_weight(attention):
    pooling = window_attention(replace(live(), attention=attention, window_timesteps=5)).eval()
    heard = torch.randn(1, 12, live().hidden)
    earlier = heard.clone()
    earlier[:, :4] += 1.0
    (pooled, weights), (same, _) = pooling(heard), pooling(earlier)
    assert weights.shape == (1, 12, 5)
    torch.testing.assert_close(same[:, 8:], pooled[:, 8:])
    assert (same[:, 7] - pooled[:, 7]).abs().max() > 1e-3


def test_in_attention_by_context_only_the_newest_timestep_asks():
    """A different newest timestep changes the weights of older timesteps; by content it does not.

    The comparison leaves out the newest timestep's own share.
    """
    for attention, changes in (("context", True), ("statistics", False)):
        pooling = network_with(attention).attention
        heard = torch.randn(1, 9, live().hidden, generator=torch.Generator().manual_seed(1))
        other = heard.clone()
        other[:, -1] *= -1.0
        older = []
        for one in (heard, other):
            _, weights = pooling(one)
            own = weights[0, -1, -9:-1]
            older.append(own / own.sum())
        assert ((older[0] - older[1]).abs().max() > 1e-3) == changes


def test_attention_by_context_matches_questions_and_answers_by_their_age():
    """Compares its scores with plain loops."""
    pooling = network_with("context").attention
    heard = torch.randn(1, 7, live().hidden, generator=torch.Generator().manual_seed(2))
    by_content = pooling.outer(torch.tanh(pooling.inner(heard)))
    _, weights = pooling(heard)
    for newest in range(7):
        scores = torch.stack(
            [
                by_content[0, older, 0]
                + pooling.ask(heard[0, newest]) @ pooling.answer(heard[0, older]) / 32**0.5
                + pooling.age[pooling.window - 1 - (newest - older)]
                for older in range(newest + 1)
            ]
        )
        expected = torch.softmax(scores, 0)
        torch.testing.assert_close(weights[0, newest, -(newest + 1) :], expected)


def test_look_ahead_is_added_up():
    assert look_ahead_ms(immediate()) == 15.0
    assert look_ahead_ms(live()) == 175.0
    assert Network(live()).latency == 4
    # 4 + 8 + 32 + 64 timesteps of memory and one of the convolutions.
    assert Network(paper()).latency == 109
    assert look_ahead_ms(paper()) == 4375.0


def test_sizes_are_those_of_the_paper():
    def parameters(config):
        return sum(p.numel() for p in Network(config).parameters())

    assert parameters(live()) < 2e6
    assert parameters(paper()) == pytest.approx(1.85e6, rel=0.01)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ({"labels": ("a",)}, "labels"),
        ({"labels": ("a", "a")}, "labels"),
        ({"blocks": ()}, "blocks"),
        ({"front": "fourier"}, "front"),
        ({"frames_ahead": (1, 5)}, "frames_ahead"),
        ({"frames_ahead": (1,)}, "frames_ahead must be two whole numbers"),
        ({"channels": (0, 4)}, "channels must be a whole number, 1 or more; is 0"),
        ({"memory": 0.5}, "memory must be a whole number"),
        ({"frequency_padding": 5}, "frequency_padding"),
        ({"hidden": 0}, "hidden"),
        ({"taps": "matrix"}, "taps"),
        ({"attention": "none"}, "attention"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_configurations_are_named(change, name):
    with pytest.raises(ValueError, match=name):
        replace(live(), **change)


def test_configurations_survive_a_dictionary():
    for make in CONFIGURATIONS.values():
        assert NetworkConfig.from_dict(make().to_dict()) == make()
    older = {name: value for name, value in live().to_dict().items() if name != "front"}
    assert NetworkConfig.from_dict(older) == live()
    with pytest.raises(ValueError, match="colour"):
        NetworkConfig.from_dict(live().to_dict() | {"colour": 1})


def test_wrong_features_are_refused():
    with pytest.raises(ValueError, match="features must be"):
        Network(live())(torch.zeros(1, 10, 201))


@pytest.mark.parametrize(("timesteps", "taps"), [(1, 1), (1, 4), (9, 4), (4, 9)])
def test_the_memory_has_the_gradients_of_its_sums(timesteps, taps):
    torch.manual_seed(1)
    padded = torch.randn(2, timesteps + taps - 1, 3, dtype=torch.double, requires_grad=True)
    response = torch.randn(taps, 3, dtype=torch.double, requires_grad=True)
    with torch.enable_grad():
        assert torch.autograd.gradcheck(filter_features, (padded, response))


def test_dropout_keeps_the_mean_and_does_not_change_estimates():
    torch.manual_seed(1)
    dropout, ones = Dropout(0.3), torch.ones(400, 400)
    dropped = dropout(ones)
    assert (dropped == 0).float().mean() == pytest.approx(0.3, abs=0.01)
    assert dropped.mean() == pytest.approx(1.0, abs=0.01)
    assert dropout.eval()(ones) is ones
