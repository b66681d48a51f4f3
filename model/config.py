"""Configurations of the networks. Latency and receptive field follow from their layers."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self

#: Ordinary speech, which no actor speaks and which has no label: a class of its own in training.
ORDINARY = "ordinary"

#: Poolings over the rolling window, see :class:`NetworkConfig`.
ATTENTIONS = ("timestep", "statistics", "context", "mean")

#: Kernel of both convolutions, in time and in frequency (section 3.3).
KERNEL = 5


def check_whole(low: int, high: int | None = None, **values: object) -> None:
    """Raise a ValueError that names the first value that is no whole number in the range."""
    for name, value in values.items():
        if type(value) is not int or value < low or (high is not None and value > high):
            allowed = f"{low} or more" if high is None else f"from {low} to {high}"
            raise ValueError(f"{name} must be a whole number, {allowed}; is {value!r}")


def check_pair(name: str, value: object, low: int, high: int | None = None) -> None:
    """Raise a ValueError unless the value is a pair of whole numbers in the range."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise ValueError(f"{name} must be two whole numbers, is {value!r}")
    for one in value:
        check_whole(low, high, **{name: one})


def check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise a ValueError that names the value and its choices."""
    if value not in choices:
        raise ValueError(f"{name} must be {' or '.join(choices)}, is {value}")


@dataclass(frozen=True)
class BlockConfig:
    """One pFSMN block, eq. (2).

    Attributes:
        look_back_order: N1, taps on earlier timesteps besides the current one.
        look_ahead_order: N2, taps on later timesteps.
        look_back_stride: s1, timesteps between look-back taps.
        look_ahead_stride: s2, timesteps between look-ahead taps.
    """

    look_back_order: int
    look_ahead_order: int
    look_back_stride: int = 1
    look_ahead_stride: int = 1

    def __post_init__(self) -> None:
        check_whole(0, look_back_order=self.look_back_order, look_ahead_order=self.look_ahead_order)
        check_whole(
            1, look_back_stride=self.look_back_stride, look_ahead_stride=self.look_ahead_stride
        )

    @property
    def look_back(self) -> int:
        """Reach into the past, in timesteps: N1 s1."""
        return self.look_back_order * self.look_back_stride

    @property
    def look_ahead(self) -> int:
        """Reach into the future, in timesteps: N2 s2."""
        return self.look_ahead_order * self.look_ahead_stride


@dataclass(frozen=True)
class SystemConfig:
    """Configuration shared by all systems of the paper's comparison (Table 2).

    Attributes:
        labels: emotions, in the order of the network's outputs.
        front: "convolution" is the two convolutions of section 3.3; "frames" concatenates the four
            frames of a timestep. The systems without a C thus keep the 40 ms timestep and the
            reach of the others and differ only in the convolutions; the paper does not give
            their rate.
        channels: channels of the two convolutions; the paper does not give them.
        frames_ahead: r of each convolution, which is padded right by r and left by 4 - r.
        frequency_padding: padding of each convolution on both sides; 3 in the paper.
        hidden: width of the hidden layers.
        window_timesteps: T, length of the rolling window for pooling.
        dropout: dropout before the classifier, in training only.
    """

    labels: tuple[str, ...]
    front: Literal["convolution", "frames"] = "convolution"
    channels: tuple[int, int] = (16, 32)
    frames_ahead: tuple[int, int] = (1, 1)
    frequency_padding: int = 2
    hidden: int = 256
    window_timesteps: int = 75
    dropout: float = 0.3

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be two or more different names")
        check_choice("front", self.front, ("convolution", "frames"))
        check_pair("channels", self.channels, 1)
        check_pair("frames_ahead", self.frames_ahead, 0, KERNEL - 1)
        check_whole(1, hidden=self.hidden, window_timesteps=self.window_timesteps)
        check_whole(0, KERNEL - 1, frequency_padding=self.frequency_padding)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), is {self.dropout}")

    @property
    def outputs(self) -> tuple[str, ...]:
        """The meaning of each logit."""
        return self.labels

    @property
    def is_rolling(self) -> bool:
        """Whether the system estimates at every timestep, not once per utterance."""
        return True

    @property
    def knows_voices(self) -> bool:
        """Whether the system has a voice memory, see :mod:`model.voice`."""
        return False

    @property
    def hears_level(self) -> bool:
        """Whether its voice memory also knows how loud the voice usually is."""
        return False

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Invert :meth:`to_dict`, also for values that went through JSON or TOML.

        Raises:
            ValueError: a name is unknown or a value out of range.
        """
        unknown = set(values) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f"unknown network settings: {', '.join(sorted(unknown))}")
        converted: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in values.items()
        }
        return cls(**converted)


@dataclass(frozen=True)
class RecurrentConfig(SystemConfig):
    """Configuration of an LSTM system. ``hidden`` counts both directions.

    A bidirectional LSTM hears the whole utterance; on a stream it would have to run again over the
    last seconds for every estimate.

    Attributes:
        layers: number of LSTM layers.
        bidirectional: whether it also runs backwards, from the utterance's end.
        rolling: whether a bidirectional LSTM, too, is pooled over the rolling window at every
            timestep, and not once over the utterance.
        attention: pooling over the rolling window, see :class:`NetworkConfig`.
        attention_hidden: width of the attention's hidden layer.
    """

    layers: int = 2
    bidirectional: bool = False
    rolling: bool = False
    attention: Literal["timestep", "statistics", "context", "mean"] = "mean"
    attention_hidden: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(1, layers=self.layers, attention_hidden=self.attention_hidden)
        check_choice("attention", self.attention, ATTENTIONS)
        if self.rolling and not self.bidirectional:
            raise ValueError("rolling is for a bidirectional LSTM: the other always is")
        if not self.is_rolling and self.attention != "mean":
            raise ValueError("attention over the rolling window needs rolling = true")
        if self.hidden % self.directions:
            raise ValueError(f"hidden must be even for two directions, is {self.hidden}")

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1

    @property
    def is_rolling(self) -> bool:
        return self.rolling or not self.bidirectional


@dataclass(frozen=True)
class NetworkConfig(SystemConfig):
    """Configuration of a C-pFSMN-A, with or without convolutions and attention.

    Attributes:
        memory: width of the memory blocks.
        blocks: the pFSMN blocks, pyramidal: orders and strides grow with depth.
        taps: memory coefficients per tap: one scalar (the paper) or a vector of ``memory``.
        attention: "timestep" is the paper's eq. (5)-(7), positional; "statistics" scores each
            timestep by its content and pools mean and deviation; "context" adds scores by age and
            by a query from the newest timestep; "mean" weighs all timesteps equally.
        attention_hidden: width of the attention's hidden layer.
        ordinary: whether one more output separates ordinary speech from acted emotions.
        voice: whether the network has a voice memory, see :mod:`model.voice`.
        level: whether the voice memory also knows how loud the voice usually is.
    """

    memory: int = 128
    blocks: tuple[BlockConfig, ...] = ()
    taps: Literal["scalar", "vector"] = "vector"
    attention: Literal["timestep", "statistics", "context", "mean"] = "statistics"
    attention_hidden: int = 64
    ordinary: bool = False
    voice: bool = False
    level: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.level and not self.voice:
            raise ValueError("level is for a network with voice = true")
        if not self.blocks:
            raise ValueError("blocks must hold one pFSMN block or more")
        check_whole(1, memory=self.memory, attention_hidden=self.attention_hidden)
        check_choice("taps", self.taps, ("scalar", "vector"))
        check_choice("attention", self.attention, ATTENTIONS)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The meaning of each logit: the labels, then ordinary speech."""
        return (*self.labels, *((ORDINARY,) if self.ordinary else ()))

    @property
    def knows_voices(self) -> bool:
        return self.voice

    @property
    def hears_level(self) -> bool:
        return self.level

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        blocks = tuple(BlockConfig(**block) for block in values.get("blocks", ()))
        return super().from_dict(values | {"blocks": blocks})


def _pyramid(look_ahead: tuple[tuple[int, int], ...]) -> tuple[BlockConfig, ...]:
    """Look-back orders 4 to 32 and strides 1 to 2 (section 4.1) with (N2, s2) per block."""
    orders, strides = (4, 8, 16, 32), (1, 1, 2, 2)
    return tuple(
        BlockConfig(order, ahead, stride, ahead_stride)
        for order, stride, (ahead, ahead_stride) in zip(orders, strides, look_ahead, strict=True)
    )


EMOTIONS = ("angry", "happy", "neutral", "sad")


def live(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """The default network: 175 ms of look-ahead, content attention over 3 s."""
    return NetworkConfig(labels, blocks=_pyramid(((1, 1), (1, 1), (1, 1), (1, 1))))


def immediate(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """A network without look-ahead beyond the tail of the last frame, 15 ms."""
    return NetworkConfig(labels, blocks=_pyramid(((0, 1), (0, 1), (0, 1), (0, 1))))


def paper(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """The paper's network: look-ahead equals look-back (4.4 s), scalar taps, positional attention.

    Its channel counts are not given; 128 and 96 give 1.84 M parameters, 1.87 M
    with the paper's padding of 3; Table 3 has 1.85 M.
    """
    return NetworkConfig(
        labels,
        channels=(128, 96),
        frames_ahead=(2, 2),
        blocks=_pyramid(((4, 1), (8, 1), (16, 2), (32, 2))),
        taps="scalar",
        attention="timestep",
        window_timesteps=100,
    )


def unbounded(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """The live network with the paper's look-ahead: its teacher, and a test of the bound's cost."""
    reach = paper(labels)
    return replace(live(labels), frames_ahead=reach.frames_ahead, blocks=reach.blocks)


CONFIGURATIONS = {"live": live, "immediate": immediate, "paper": paper, "unbounded": unbounded}
