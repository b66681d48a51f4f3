"""Names of the timeline formats, without their writers, which the command line does not need."""

#: Lower case, though Praat's own is .TextGrid.
SUFFIXES = {
    ".csv": "csv",
    ".txt": "audacity",
    ".textgrid": "textgrid",
    ".srt": "srt",
    ".vtt": "vtt",
}
#: For ``--format``: formats of other programs. Except for CSV, a file holds one recording.
TIMELINES = tuple(SUFFIXES.values())
