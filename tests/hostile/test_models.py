"""Model files that are damaged, or are something else: refused in one line."""

from __future__ import annotations

import random
import struct

import pytest

from streamer.bundled import bundled
from streamer.modelfile.inspection import LARGEST_FILE

pytest.importorskip("resource", reason="this system limits no memory")

from tests.helpers.command import complaint, ser_live
from tests.hostile.mutation import mutated
from tests.hostile.networks import loop_forever, refusal, shipped_model
from tests.hostile.trial import try_files


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.99, 0.9999])
def test_truncated_models_are_refused(tmp_path, model_file, share):
    whole, path = model_file.read_bytes(), tmp_path / "cut.onnx"
    path.write_bytes(whole[: int(share * len(whole))])
    refusal(path)


def test_other_files_are_no_models(tmp_path):
    assert "not a ser-live model" in refusal(bundled("voice-gate.onnx"))
    large, ort = tmp_path / "large.onnx", tmp_path / "model.ort"
    with large.open("wb") as file:
        file.truncate(LARGEST_FILE + 1)
    assert "larger than 64 MB" in refusal(large)
    ort.write_bytes(struct.pack("<I4s", 32, b"ORTM") + bytes(1_000))  # onnxruntime's own format
    refusal(ort)
    refusal(bundled("demo.flac"))


def test_an_output_whose_name_is_not_text_prints_nothing(tmp_path, model_file, capfd):
    """By default onnxruntime prints on stdout that it tries again."""
    before, name, after = model_file.read_bytes().rpartition(b"probabilities")
    path = tmp_path / "model.onnx"
    path.write_bytes(before + b"\xef" + name[1:] + after)
    refusal(path)
    assert capfd.readouterr() == ("", "")


def test_any_mutated_model_is_read_or_refused(tmp_path, model_file):
    """The structure is at both ends of a file, the weights between; a change may hit either.

    Changed weights may do harm only in mid-stream: then the run fails, with one line.
    """
    whole, chance = model_file.read_bytes(), random.Random(1)
    paths = []
    for number in range(60):
        path = tmp_path / f"{number}.onnx"
        at_the_end = number % 2
        data = whole[::-1] if at_the_end else whole
        data = mutated(data, chance, reach=40_000)
        path.write_bytes(data[::-1] if at_the_end else data)
        paths.append(path)
    outcomes = try_files("models", paths)
    found = {
        path: outcome
        for path, outcome in outcomes.items()
        if not (
            outcome.kind in ("read", "refused") or outcome.line.endswith("what is no probability")
        )
        or outcome.seconds > 20
        or outcome.peak_mb > 1000
    }
    assert not found


def test_a_hostile_model_is_one_line_and_exit_2(tmp_path, wav):
    path = tmp_path / "model.onnx"
    proto = shipped_model()
    loop_forever(proto)
    path.write_bytes(proto.SerializeToString())
    for arguments in (["info"], ["replay", wav]):
        result = ser_live(*arguments, "--model", path)
        assert result.returncode == 2
        assert result.stdout == b""
        assert "loops" in complaint(result)
