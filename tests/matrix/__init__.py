"""Sound files of every kind and every fault, made by ffmpeg and sox, and what is heard of them.

``python -m tests.matrix [--full] [--table FILE.md]`` makes the files and judges them.
"""
