"""The number of digits in results, the same in every format."""

#: Microseconds: finer than a sample.
TIME_DIGITS = 6
#: Finer than the 1e-6 within which the same audio gives the same estimates, however it is computed.
SHARE_DIGITS = 7
LATENCY_DIGITS = 3
