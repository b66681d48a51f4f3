"""Finding the device that the user means."""

from __future__ import annotations

import pytest

from streamer.errors import RunFailure, SerLiveError
from streamer.sound.capture.devices import Device, find_device, sound_server_sources

DEVICES = [
    Device(0, "Built-in Microphone", "MME", 44_100, 2, False),
    Device(3, "Built-in Microphone", "Windows WASAPI", 48_000, 2, True),
    Device(4, "USB Headset", "Windows WASAPI", 48_000, 1, False),
    Device(7, "USB Headset Pro 3", "Windows WASAPI", 48_000, 1, False),
]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (None, 3),
        ("0", 0),
        ("7", 7),
        ("pro", 7),
        ("usb headset", 4),  # exactly that one's name
        ("microphone (mme)", 0),
        ("Built-in Microphone (Windows WASAPI)", 3),
    ],
)
def test_a_number_or_part_of_a_name_is_enough(wanted, index):
    assert find_device(wanted, DEVICES).index == index


def test_an_ambiguous_name_lists_the_candidates_with_their_host_api():
    with pytest.raises(SerLiveError) as caught:
        find_device("built", DEVICES)
    assert caught.value.exit_code == 2
    assert "0: Built-in Microphone (MME)" in str(caught.value)
    assert "3: Built-in Microphone (Windows WASAPI)" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wanted", ["webcam", "1", "3 4", "", "9" * 5_000])
def test_an_unknown_device_is_wrong_usage(wanted):
    with pytest.raises(SerLiveError) as caught:
        find_device(wanted, DEVICES)
    assert caught.value.exit_code == 2


def test_a_system_without_a_default_is_reported():
    with pytest.raises(RunFailure, match="no default input"):
        find_device(None, [DEVICES[0]])


def test_a_sound_servers_sources_go_by_their_names_alone():
    monitor = Device(9, "speaker.monitor", "sound server", 48_000, 2, False, "speaker.monitor")
    devices = [*DEVICES, Device(9, "pulse", "ALSA", 44_100, 2, False), monitor]
    assert find_device("monitor", devices) == monitor
    assert find_device("9", devices).name == "pulse"
    assert find_device("pulse", devices).name == "pulse"


def test_without_a_sound_server_there_are_no_sources_of_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert not sound_server_sources([Device(9, "pulse", "ALSA", 44_100, 2, False)])
    assert not sound_server_sources(DEVICES)
