"""Names of the timelines, apart from their writers: the command line needs no more of them."""

#: Lower case, though Praat's own is .TextGrid.
SUFFIXES = {
    ".csv": "csv",
    ".txt": "audacity",
    ".textgrid": "textgrid",
    ".srt": "srt",
    ".vtt": "vtt",
}
#: Of ``--format``: what programs other than this one read. CSV apart, a file holds one recording.
TIMELINES = tuple(SUFFIXES.values())
