"""The systems of the paper's comparison (section 4.2, Table 2), by the names they have there.

All take the same spectrogram features and differ only in what their names say:

==============  ===========  ================  =======================================  ==========
system          front        sequence model    pooling                                  parameters
==============  ===========  ================  =======================================  ==========
lstm            frames       2 LSTM of 256     mean of the rolling window               1.26 M
c-bilstm        convolution  2 biLSTM of 256   mean of the utterance                    2.20 M
pfsmn           frames       4 pFSMN blocks    mean of the rolling window               0.47 M
c-pfsmn         convolution  4 pFSMN blocks    mean of the rolling window               1.83 M
c-pfsmn-a       convolution  4 pFSMN blocks    timestep attention over it, eq. (5)-(7)  1.84 M
c-pfsmn-a-live  convolution  4 pFSMN blocks    statistics attention over it             0.72 M
==============  ===========  ================  =======================================  ==========

What the paper says, and what is decided here where it says nothing:

- LSTM: its figure is cited from elsewhere and made with hand-crafted features. Here it sees the
  spectrogram, so that it differs from pFSMN in the sequence model alone; one direction, two layers
  as in the C-biLSTM.
- C-biLSTM: "2-CNN layers and 2-Bi-LSTM which had 256 nodes in hidden layers", 2.12 M parameters.
  Two of 256 a direction have 2.1 M behind an input of 7 values, so 256 counts both directions.
  Behind the front of C-pFSMN-A it would have 2.36 M; with 64 channels in the first convolution it
  comes nearest.
  Front and entrance are those of C-pFSMN-A; the outputs are averaged over the utterance.
- pFSMN: the frames go to the blocks without convolutions; see ``front`` of
  :class:`model.config.SystemConfig`.
- C-pFSMN: "without attention while rest is exactly the same"; what pools instead is not said, see
  :class:`model.attention.WindowMean`. pFSMN and LSTM are pooled likewise.
- C-pFSMN-A: 1.85 M parameters in the paper; see :func:`model.config.paper` and, for the network
  that ships, :func:`model.config.live`.
- HSF-CRNN, on functionals of hand-crafted features, has its stand-in in
  ``train/comparing/functionals.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from model.attention import WindowMean
from model.config import (
    EMOTIONS,
    NetworkConfig,
    SystemConfig,
    check_positive,
    live,
    paper,
)
from model.network import Network, SpectrogramNetwork


@dataclass(frozen=True)
class RecurrentConfig(SystemConfig):
    """Shape of an LSTM system. ``hidden`` counts both directions.

    A bidirectional one pools the whole utterance; to follow a stream it would be run again over
    the rolling window for every estimate.

    Attributes:
        layers: of the LSTM.
        bidirectional: whether it also runs backwards, from the utterance's end.
    """

    layers: int = 2
    bidirectional: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(layers=self.layers)
        if self.hidden % self.directions:
            raise ValueError(f"hidden must be even for two directions, is {self.hidden}")

    @property
    def directions(self) -> int:
        return 2 if self.bidirectional else 1


class RecurrentNetwork(SpectrogramNetwork):
    """LSTM over the timesteps, and the mean of its outputs.

    One direction: an estimate a timestep from the rolling window that ends there. Both: one
    estimate an utterance.
    """

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.lstm = nn.LSTM(
            config.hidden,
            config.hidden // config.directions,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        self.window = WindowMean(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(config.hidden, len(config.labels))

    def _pool(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        outputs, _ = self.lstm(hidden)
        if self.lstm.bidirectional:
            batch, timesteps, _ = outputs.shape
            weights = outputs.new_full((batch, 1, timesteps), 1 / timesteps)
            return weights @ outputs, weights
        pooled, weights = self.window(outputs)
        return pooled, weights


def lstm(labels: tuple[str, ...] = EMOTIONS) -> RecurrentConfig:
    """LSTM."""
    return RecurrentConfig(labels, "frames", window_timesteps=paper().window_timesteps)


def c_bilstm(labels: tuple[str, ...] = EMOTIONS) -> RecurrentConfig:
    """C-biLSTM, behind convolutions with the reach of :func:`model.config.paper`."""
    front = paper()
    return RecurrentConfig(
        labels,
        channels=(64, 96),
        frames_ahead=front.frames_ahead,
        window_timesteps=front.window_timesteps,
        bidirectional=True,
    )


def pfsmn(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """The paper's network without convolutions and without attention."""
    return replace(c_pfsmn(labels), front="frames")


def c_pfsmn(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """The paper's network without attention."""
    return replace(paper(labels), attention="mean")


#: By the paper's names; each makes the configuration for its labels.
SYSTEMS: dict[str, Callable[[tuple[str, ...]], SystemConfig]] = {
    "lstm": lstm,
    "c-bilstm": c_bilstm,
    "pfsmn": pfsmn,
    "c-pfsmn": c_pfsmn,
    "c-pfsmn-a": paper,
    "c-pfsmn-a-live": live,
}


def build(config: SystemConfig) -> SpectrogramNetwork:
    """The network that a configuration describes, with fresh weights.

    Raises:
        TypeError: it describes none.
    """
    if isinstance(config, NetworkConfig):
        return Network(config)
    if isinstance(config, RecurrentConfig):
        return RecurrentNetwork(config)
    raise TypeError(f"no network has a {type(config).__name__}")
