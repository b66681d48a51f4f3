"""The systems of the paper's comparison (section 4.2, Table 2), under the paper's names.

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

Beside these, :func:`c_bilstm_rolling` hears all of a recording: a reference for the live network.

Details from the paper, and the choices made here where it gives none:

- LSTM: the paper cites a result on hand-crafted features. Here it takes the
  spectrogram, so that it differs from pFSMN only in the sequence model. It has one direction and
  two layers, as in the C-biLSTM.
- C-biLSTM: "2-CNN layers and 2-Bi-LSTM which had 256 nodes in hidden layers", 2.12 M parameters.
  With 256 per direction, the LSTMs alone have 2.1 M on an input of 7 values, so 256 counts both
  directions. With the front of C-pFSMN-A it would have 2.36 M; 64 channels in the first
  convolution come nearest. Otherwise the front is that of C-pFSMN-A. The outputs are averaged
  over the utterance.
- pFSMN: the frames go to the blocks without convolutions; see ``front`` of
  :class:`model.config.SystemConfig`.
- C-pFSMN: "without attention while rest is exactly the same"; the paper does not name the pooling,
  see :class:`model.attention.WindowMean`. pFSMN and LSTM use the same one.
- C-pFSMN-A: 1.85 M parameters in the paper; see :func:`model.config.paper` and, for the network
  that ships, :func:`model.config.live`.
- HSF-CRNN, on functionals of hand-crafted features: ``train/comparing/functionals.py`` has a
  substitute.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor, nn

from model.attention import window_attention
from model.config import (
    EMOTIONS,
    NetworkConfig,
    RecurrentConfig,
    SystemConfig,
    live,
    paper,
)
from model.network import Network, SpectrogramNetwork


class RecurrentNetwork(SpectrogramNetwork):
    """An LSTM over the timesteps, pooled over the rolling window or over the utterance.

    It estimates at every timestep, from the window that ends there, or once per utterance; see
    :class:`~model.config.RecurrentConfig`.
    """

    config: RecurrentConfig

    def __init__(self, config: RecurrentConfig) -> None:
        super().__init__(config)
        self.lstm = nn.LSTM(
            config.hidden,
            config.hidden // config.directions,
            config.layers,
            batch_first=True,
            bidirectional=config.bidirectional,
        )
        self.attention = window_attention(config)
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(self.attention.pooled, len(config.labels))

    def _sequence(self, hidden: Tensor) -> Tensor:
        outputs: Tensor
        outputs, _ = self.lstm(hidden)
        return outputs

    def _pool(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        if self.config.is_rolling:
            pooled, weights = self.attention(outputs)
            return pooled, weights
        batch, timesteps, _ = outputs.shape
        weights = outputs.new_full((batch, 1, timesteps), 1 / timesteps)
        return weights @ outputs, weights


def lstm(labels: tuple[str, ...] = EMOTIONS) -> RecurrentConfig:
    """Configuration of the LSTM."""
    return RecurrentConfig(labels, "frames", window_timesteps=paper().window_timesteps)


def c_bilstm(labels: tuple[str, ...] = EMOTIONS) -> RecurrentConfig:
    """Configuration of the C-biLSTM; its front reaches as far as :func:`~model.config.paper`'s."""
    front = paper()
    return RecurrentConfig(
        labels,
        channels=(64, 96),
        frames_ahead=front.frames_ahead,
        window_timesteps=front.window_timesteps,
        bidirectional=True,
    )


def c_bilstm_rolling(labels: tuple[str, ...] = EMOTIONS) -> RecurrentConfig:
    """The live network with two biLSTM layers in place of its memory blocks.

    It has the live network's front and attention, and estimates at every timestep, so that it
    learns from streams and is judged there as the live network is; but it is offline.
    """
    return RecurrentConfig(labels, bidirectional=True, rolling=True, attention="context")


def pfsmn(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """The paper's network without convolutions and without attention."""
    return replace(c_pfsmn(labels), front="frames")


def c_pfsmn(labels: tuple[str, ...] = EMOTIONS) -> NetworkConfig:
    """The paper's network without attention."""
    return replace(paper(labels), attention="mean")


#: Configuration functions by the paper's names; each takes the labels.
SYSTEMS: dict[str, Callable[[tuple[str, ...]], SystemConfig]] = {
    "lstm": lstm,
    "c-bilstm": c_bilstm,
    "pfsmn": pfsmn,
    "c-pfsmn": c_pfsmn,
    "c-pfsmn-a": paper,
    "c-pfsmn-a-live": live,
}
#: Systems that the paper does not have, for comparison with the live network.
REFERENCES: dict[str, Callable[[tuple[str, ...]], SystemConfig]] = {
    "c-bilstm-rolling": c_bilstm_rolling,
}


def build(config: SystemConfig) -> SpectrogramNetwork:
    """Build the network of a configuration, with fresh weights.

    Raises:
        TypeError: the configuration is of no known system.
    """
    if isinstance(config, NetworkConfig):
        return Network(config)
    if isinstance(config, RecurrentConfig):
        return RecurrentNetwork(config)
    raise TypeError(f"no network has a {type(config).__name__}")
