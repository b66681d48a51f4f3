"""A Pipecat pipeline that analyses a recording: ``python -m streamer.pipecat_example FILE``.

A voice agent has a transport and services in place of the file and the printer here.
"""

from __future__ import annotations

import asyncio
import sys

import numpy as np
import soundfile

from streamer.errors import told

try:
    import pipecat  # noqa: F401 (only to report it if missing)
except ModuleNotFoundError:
    sys.exit(told("the example needs Pipecat: pip install 'ser-live[pipecat]'"))

from pipecat.frames.frames import EndFrame, Frame, InputAudioRawFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from streamer.pipecat import EmotionFrame, EmotionProcessor, TurnEmotionFrame

BLOCK_S = 0.02


class Printer(FrameProcessor):  # type: ignore[misc]  # Pipecat is an extra
    """Prints the emotions, where an agent would use them for its next sentence."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Print the frames with emotions."""
        await super().process_frame(frame, direction)
        match frame:
            case EmotionFrame():
                print(f"{frame.time_s:7.2f} s  {frame.label}  ({frame.latency_ms:.0f} ms late)")
            case TurnEmotionFrame():
                share = frame.probabilities.get(frame.overall, 0.0)
                print(f"{frame.end_s:7.2f} s  the turn was {frame.overall}, {share:.0%}")
        await self.push_frame(frame, direction)


async def main(path: str) -> None:
    """Play a recording through the pipeline at the pace of the clock."""
    try:
        samples, rate = soundfile.read(path, dtype="int16", always_2d=True)
    except soundfile.SoundFileError as error:
        sys.exit(told(error))
    worker = PipelineWorker(Pipeline([EmotionProcessor(), Printer()]), enable_rtvi=False)
    runner = WorkerRunner()
    await runner.add_workers(worker)

    async def play() -> None:
        for block in np.array_split(samples, max(1, round(len(samples) / rate / BLOCK_S))):
            frame = InputAudioRawFrame(block.tobytes(), rate, block.shape[1])
            await worker.queue_frame(frame)
            await asyncio.sleep(BLOCK_S)
        await worker.queue_frame(EndFrame())

    await asyncio.gather(runner.run(), play())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(told("name one recording: python -m streamer.pipecat_example FILE"))
    asyncio.run(main(sys.argv[1]))
