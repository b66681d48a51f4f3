"""The number of digits in results, the same in every format."""

#: Microseconds: finer than a sample.
TIME_DIGITS = 6
#: Enough for the 1e-5 of the streaming contract, few enough to read.
SHARE_DIGITS = 6
LATENCY_DIGITS = 3
