"""Sound files of every kind with every fault, made by ffmpeg and sox, and checks of their audio.

``python -m tests.matrix [--full] [--table FILE.md]`` makes the files and judges them.
"""
