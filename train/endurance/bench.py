"""Compare the cost of a step with alternatives, as ratios measured in turns on one core.

``train/endurance/throughput.py`` adds the speed of training.

Other programs share the cores, so times alone mean little. The contenders take short turns, round
after round. A turn gives the mean processor time of its calls; a time is the median over the
rounds; a ratio is the median of the rounds' ratios.

================  ==================================================================================
whole step        40 ms of a stream: front end, voice gate, network, decision
network step      the network alone
of 16 together    the same for 16 streams in one call, per stream
of 32 at once     the network alone for 32 timesteps of one stream in one call, per timestep
whole of 32       the whole step for 32 timesteps at once, per timestep, as ``score`` does it
Silero chunk      a small streaming network for scale: 32 ms of audio through Silero's own file,
                  not through the rearranged voice gate
window run again  the usual alternative to streaming: the same network over the last 4 s for one
                  estimate, so that its memory reaches no further back
multiply-adds     the least time for the step's multiply-adds, at the speed of a large matrix
                  product on this core
================  ==================================================================================
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.attention import AttentionState
from model.config import CONFIGURATIONS, NetworkConfig
from model.contract import Moment
from model.cost import step_cost
from model.export import for_inference, state_specs, write_onnx
from model.network import Network
from model.silero import silero_path
from streamer.commands.latency.streams import most_streams
from streamer.counting import counted
from streamer.errors import SerLiveError
from streamer.modelfile.runtime import NetworkFile, open_session
from streamer.modelfile.shipped import model_path
from streamer.outputs import OutputFile, write_line
from streamer.recognition.metadata import UNKNOWN_END, ModelMetadata, StateSpec
from streamer.recognition.network import StepNetwork
from streamer.recognition.recognizer import Recognizer
from streamer.recognition.voice_gate import CHUNK_SAMPLES, CONTEXT_SAMPLES
from streamer.signal import (
    FRAMES_PER_TIMESTEP,
    FREQUENCY_BINS,
    MANY_AT_ONCE,
    SAMPLE_RATE,
    TIMESTEP_S,
    TIMESTEP_SAMPLES,
)
from streamer.sound.files.recording import read_recording
from train.endurance.throughput import drawing_share, training_rate

#: Length of the window run again: 4 s.
RERUN_TIMESTEPS = 100
#: Side of the square matrices whose product measures the core's peak; they fit its cache.
PEAK_SIDE = 256
#: Streams in one call.
TOGETHER = 16
#: Least duration of a contender's turn.
TURN_S = 0.02
#: A turn has a multiple of this many calls: four timesteps hold five chunks of the voice gate, so
#: every fourth step has two.
CALLS = 4

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
#: A contender: every call does its work once.
Work = Callable[[], object]


@dataclass(frozen=True)
class Bench:
    """Costs and their ratios, medians over the rounds.

    Attributes:
        rounds: number of rounds.
        microseconds: time of one call, by contender.
        step_multiply_adds: multiply-adds of the network, see :mod:`model.cost`.
        peak_multiply_adds: multiply-adds per second of the core in a large matrix product.
        ratios: the figures that the project is judged by.
        streams: number of streams that keep up on the core.
        utterances_per_s: utterances of 4 s that training takes in per second, see
            :mod:`train.endurance.throughput`.
        drawing: time to draw a batch of streams divided by the time to train on it.
    """

    rounds: int
    microseconds: dict[str, float]
    step_multiply_adds: int
    peak_multiply_adds: float
    ratios: dict[str, float]
    streams: int
    utterances_per_s: float
    drawing: float


class _WindowRun(nn.Module):
    """The offline network on a whole window, with only the estimate at its end."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, features: Tensor) -> Tensor:
        network = self.network
        hidden = network.sequence(features)
        before = hidden[:, -network.config.window_timesteps : -1]
        position = torch.full((1, 1), RERUN_TIMESTEPS - 1)
        (pooled, _), _ = network.attention.newest(
            hidden[:, -1:],
            Moment.of(network.attention, position, position[0] + 1),
            AttentionState(before, network.attention.look(before)[1]),
        )
        return torch.softmax(
            network.classifier(pooled[:, 0])[:, : len(network.config.labels)], dim=-1
        )


def _laid_out(states: Iterable[StateSpec]) -> list[tuple[str, tuple[int, ...]]]:
    """Return names and shapes without axes of size one, which older files omit for a single key."""
    return [(one.name, tuple(size for size in one.shape if size > 1)) for one in states]


def configuration_of(metadata: ModelMetadata) -> NetworkConfig:
    """Return a model file's named configuration, with the file's attention and window.

    Raises:
        SerLiveError: no named configuration fits.
    """
    window = metadata.window_timesteps
    knows, hears = metadata.knows_voices, metadata.hears_level
    own = [
        replace(make(metadata.labels), window_timesteps=window, voice=knows, level=hears)
        for make in CONFIGURATIONS.values()
    ]
    for config in (*own, *(replace(one, attention="context") for one in own)):
        if _laid_out(state_specs(Network(config).initial_state())) == _laid_out(metadata.states):
            return replace(config, ordinary=metadata.tells_ordinary)
    raise SerLiveError(f"model {metadata.name}: none of {', '.join(CONFIGURATIONS)}")


def _export_window(config: NetworkConfig, path: Path) -> None:
    """Export like the step, with folded batch norms; shapes are fixed, which can only help it."""
    window = _WindowRun(for_inference(Network(config))).eval()
    features = torch.zeros(1, RERUN_TIMESTEPS, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
    write_onnx(window, (features,), path, {}, input_names=["features"])


def _window_again(config: NetworkConfig, folder: Path) -> Work:
    _export_window(config, folder / "window.onnx")
    session = open_session(folder / "window.onnx")
    feeds = {"features": _random(1, RERUN_TIMESTEPS, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)}
    return lambda: session.run(None, feeds)


def _matrix_product(folder: Path) -> Work:
    """Make a matrix product in onnxruntime, like the step; NumPy's is half as fast on some CPUs."""
    from onnx import TensorProto, helper, save

    matrices = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [PEAK_SIDE, PEAK_SIDE])
        for name in "abc"
    ]
    product = helper.make_node("MatMul", ["a", "b"], ["c"])
    graph = helper.make_graph([product], "product", matrices[:2], matrices[2:])
    opset = helper.make_opsetid("", 20)
    save(helper.make_model(graph, opset_imports=[opset], ir_version=9), folder / "product.onnx")
    session = open_session(folder / "product.onnx")
    feeds = {name: _random(PEAK_SIDE, PEAK_SIDE) for name in "ab"}
    return lambda: session.run(None, feeds)


def _random(*shape: int) -> Float32:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def _silero_chunk() -> Work:
    session = open_session(silero_path())
    feeds = {
        "input": np.zeros((1, CONTEXT_SAMPLES + CHUNK_SAMPLES), np.float32),
        "state": np.zeros((2, 1, 128), np.float32),
        "sr": np.array(SAMPLE_RATE, np.int64),
    }

    def chunk() -> None:
        _, feeds["state"] = session.run(None, feeds)

    return chunk


def _network_step(model: Path, metadata: ModelMetadata, streams: int, timesteps: int = 1) -> Work:
    network = StepNetwork(NetworkFile(model.read_bytes()), metadata)
    features = _random(streams, timesteps, FRAMES_PER_TIMESTEP, FREQUENCY_BINS)
    states = [network.initial_state() for _ in range(streams)]

    def step() -> None:
        nonlocal states
        *_, states = network.step(features, UNKNOWN_END, states)

    return step


def _whole_step(recognizer: Recognizer, samples: Float32, at_once: int = 1) -> Work:
    size = at_once * TIMESTEP_SAMPLES
    repeated = np.resize(samples, max(1, len(samples) // size) * size)
    blocks: Iterator[Float32] = cycle(repeated.reshape(-1, size))
    stream = recognizer.stream(at_once=at_once)
    return lambda: stream.accept(next(blocks))


def _mean_s(work: Work) -> float:
    """Return the mean processor time of the calls of one turn."""
    calls, spent = 0, 0.0
    began = time.thread_time()
    while spent < TURN_S:
        for _ in range(CALLS):
            work()
        calls += CALLS
        spent = time.thread_time() - began
    return spent / calls


def take_turns(contenders: dict[str, Work], seconds: float) -> dict[str, Float64]:
    """Run the contenders round after round, for at least one round.

    Args:
        contenders: contenders by name.
        seconds: duration.

    Returns:
        seconds per call, ``(rounds,)``, by name.
    """
    for work in contenders.values():  # warm the caches and fill the rolling window
        _mean_s(work)
    rounds: list[list[float]] = []
    end = time.perf_counter() + seconds
    while not rounds or time.perf_counter() < end:
        rounds.append([_mean_s(work) for work in contenders.values()])
    return dict(zip(contenders, np.array(rounds).T, strict=True))


def compare(
    times: dict[str, Float64],
    multiply_adds: int,
    streams: int,
    utterances_per_s: float,
    drawing: float,
) -> Bench:
    """Summarise the times of the contenders.

    Args:
        times: from :func:`take_turns`, including the matrix product's.
        multiply_adds: multiply-adds of a step of the network.
        streams: number of streams that keep up on the core.
        utterances_per_s: utterances that training takes in per second.
        drawing: time to draw a batch divided by the time to train on it.
    """
    peak = PEAK_SIDE**3 / times["matrix product"]
    step = times["network step"]
    shown = {name: each for name, each in times.items() if name != "matrix product"}
    shown["of 16 together"] = times["of 16 together"] / TOGETHER
    for name in ("of 32 at once", "whole of 32"):
        shown[name] = times[name] / MANY_AT_ONCE
    shown["multiply-adds"] = multiply_adds / peak
    ratios = {
        "network step : Silero chunk": step / shown["Silero chunk"],
        "window run again : network step": shown["window run again"] / step,
        "network step : multiply-adds": step / shown["multiply-adds"],
        "network step : of 32 at once": step / shown["of 32 at once"],
        "window run again : of 32 at once": shown["window run again"] / shown["of 32 at once"],
        "whole step : whole of 32": shown["whole step"] / shown["whole of 32"],
        "hours of audio a core-minute, of 32": TIMESTEP_S / shown["whole of 32"] / 60,
        "whole step : its audio (real-time factor)": shown["whole step"] / TIMESTEP_S,
    }
    return Bench(
        len(step),
        {name: round(1e6 * float(np.median(each)), 1) for name, each in shown.items()},
        multiply_adds,
        float(np.median(peak)),
        {name: float(np.median(each)) for name, each in ratios.items()},
        streams,
        round(utterances_per_s, 1),
        round(drawing, 3),
    )


def bench(model: Path | None, recording: Path, seconds: float) -> Bench:
    """Run the contenders in turns, then train for as long.

    Args:
        model: model file; None for the shipped one.
        recording: any sound file, the input of the whole step.
        seconds: duration.

    Raises:
        SerLiveError: a file cannot be read, or the model is of no named configuration.
    """
    recognizer = Recognizer.load(model)
    config = configuration_of(recognizer.metadata)
    samples = read_recording(recording)
    with TemporaryDirectory() as name:
        folder = Path(name)
        contenders = {
            "whole step": _whole_step(recognizer, samples),
            "network step": _network_step(model_path(model), recognizer.metadata, 1),
            "of 16 together": _network_step(model_path(model), recognizer.metadata, TOGETHER),
            "of 32 at once": _network_step(model_path(model), recognizer.metadata, 1, MANY_AT_ONCE),
            "whole of 32": _whole_step(recognizer, samples, MANY_AT_ONCE),
            "Silero chunk": _silero_chunk(),
            "window run again": _window_again(config, folder),
            "matrix product": _matrix_product(folder),
        }
        times = take_turns(contenders, seconds)
    return compare(
        times,
        step_cost(config),
        most_streams(recognizer, samples),
        training_rate(config, seconds),
        drawing_share(config, recording),
    )


def run_bench(options: argparse.Namespace) -> None:
    """Run ``python -m train bench``.

    Raises:
        SerLiveError: a file cannot be read or written, or the model is of no named configuration.
    """
    with ExitStack() as stack:
        out = None
        if options.json is not None:
            inputs = [options.recording, model_path(options.model)]
            out = stack.enter_context(OutputFile(options.json, options.force, inputs))
        result = bench(options.model, options.recording, options.seconds)
        print_table(result)
        if out is not None:
            write_line(out, json_of(result))


def print_table(result: Bench) -> None:
    """Print tables on stdout."""
    from rich.console import Console
    from rich.table import Table

    times = Table(title=f"one core, medians of {result.rounds} rounds")
    times.add_column("contender")
    times.add_column("µs", justify="right")
    for name, microseconds in result.microseconds.items():
        times.add_row(name, f"{microseconds:.1f}")
    ratios = Table(title="ratios")
    ratios.add_column("what")
    ratios.add_column("", justify="right")
    for name, ratio in result.ratios.items():
        ratios.add_row(name, f"{ratio:.3g}")
    console = Console(width=72)
    console.print(times)
    console.print(
        f"{result.step_multiply_adds / 1e6:.2f} M multiply-adds a step, "
        f"{result.peak_multiply_adds / 1e9:.0f} G a second (median of the product)"
    )
    console.print(ratios)
    console.print(f"the core keeps up with {counted(result.streams, 'stream')}")
    console.print(
        f"training takes in {result.utterances_per_s:.0f} utterances of 4 s a second "
        f"({torch.get_num_threads()} threads)"
    )
    console.print(
        f"drawing a batch of streams takes {result.drawing:.2f} of the time to learn from it, one "
        "thread each"
    )


def json_of(result: Bench) -> str:
    """Format the result as one JSON object."""
    return json.dumps(asdict(result), indent=1)
