"""Every sound file with every fault is read like ffmpeg reads it, or reported, or refused.

This runs a part of the matrix; ``python -m tests.matrix --full`` runs all of it.
"""

from __future__ import annotations

import pytest

from tests.matrix.cells import Maker
from tests.matrix.faults import FAULTS
from tests.matrix.folder import make_folder, scored
from tests.matrix.judging import FAILURES, HEARD, NOTICED
from tests.matrix.kinds import KINDS, are_at_hand

pytestmark = pytest.mark.skipif(not are_at_hand(), reason="needs ffmpeg and sox")

#: Kinds that get every fault: at least one for each way of scanning a file.
FAULTY = (
    *("wav pcm_s16le", "wav pcm_s24le", "wav adpcm_ms", "wav g722", "wav pcm_u8 piped"),
    *("rf64 pcm_s16le", "w64 pcm_f32le", "aiff pcm_s24be", "au pcm_mulaw", "caf pcm_s16be"),
    *("flac flac", "ogg libvorbis", "ogg flac", "mp3 libmp3lame vbr", "mp4 aac", "mkv flac"),
    *("mp3 libmp3lame vbr without an index", "voc pcm_s16le", "sph sox", "amr amr_nb"),
)
#: Rates of the whole files; each kind is read the same way at all of them.
WHOLE_AT = {8_000, 44_100, 192_000}


#: Kinds that neither soundfile nor PyAV's ffmpeg decodes; the first with six channels.
REFUSED = ("truehd truehd", "sndt sox")


def kind_of(name):
    return next(kind for kind in KINDS if kind.name == name)


@pytest.fixture(scope="module")
def maker(tmp_path_factory):
    return Maker(tmp_path_factory.mktemp("matrix"))


@pytest.mark.parametrize("name", FAULTY)
def test_no_fault_loses_audio_silently(maker, name):
    kind = kind_of(name)
    rate = 16_000 if 16_000 in kind.rates else kind.rates[0]
    cells = list(maker.cells(kind, rate, min(2, max(kind.channels)), FAULTS))
    assert len(cells) > len(FAULTS) / 2
    assert [(one.name, one.verdict) for one in cells if one.verdict.kind in FAILURES] == []


@pytest.mark.parametrize(
    "name",
    [one.name for one in KINDS if one.name not in FAULTY and not one.is_piped][::4],
)
def test_whole_files_are_heard_as_ffmpeg_hears_them(maker, name):
    kind = kind_of(name)
    rates = sorted(WHOLE_AT & set(kind.rates)) or kind.rates[:1]
    for rate in rates:
        for cell in maker.cells(kind, rate, max(kind.channels), ()):
            assert cell.verdict.kind not in FAILURES, (cell.name, cell.verdict)
            if cell.with_media and name not in REFUSED:
                assert cell.verdict.kind in (HEARD, NOTICED), (cell.name, cell.verdict)


def test_a_folder_of_mixed_kinds_is_reported_to_the_last_file(tmp_path):
    make_folder(tmp_path / "mixed", 60)
    count = scored(tmp_path / "mixed")
    assert count.files == 60
    assert count.rows + count.passed_over == count.files, count.said
    assert count.rows > 30
    assert count.exit_code == 2
    assert "Traceback" not in count.said
