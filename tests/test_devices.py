"""Which device a person means."""

from __future__ import annotations

import pytest

from streamer.devices import Device, find_device
from streamer.errors import RunFailure, SerLiveError

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


@pytest.mark.parametrize("wanted", ["webcam", "1", "3 4", ""])
def test_an_unknown_device_is_wrong_usage(wanted):
    with pytest.raises(SerLiveError) as caught:
        find_device(wanted, DEVICES)
    assert caught.value.exit_code == 2


def test_a_system_without_a_default_is_said():
    with pytest.raises(RunFailure, match="no default input"):
        find_device(None, [DEVICES[0]])
