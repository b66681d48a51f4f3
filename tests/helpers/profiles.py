"""A profile of a voice that no model made."""

from __future__ import annotations

from datetime import UTC, datetime

from streamer.recognition.profile import Profile

PROFILE = Profile((0.5,) * 513, 90.0, "voice-1", "0" * 64, datetime(2026, 1, 1, tzinfo=UTC))
