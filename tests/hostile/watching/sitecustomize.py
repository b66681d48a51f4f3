"""Runs before a command does (``PYTHONPATH``) and writes down what it reaches out for.

A line for each file opened to be written, made, renamed or removed, and for each socket that is
none of this machine. Python tells of its own deeds; libraries in C are held by ``unshare`` and
watched by ``strace`` where there are such.
"""

import os
import sys

_OUT = os.open(os.environ["DEEDS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_MAKING = {"os.mkdir", "os.rename", "os.remove", "os.link", "os.symlink", "os.truncate"}


def _tell(kind, what):
    os.write(_OUT, f"{kind} {os.fsdecode(what)}\n".encode(errors="backslashreplace"))


def _watch(event, arguments):
    if event == "open" and arguments[2] & _WRITING and not isinstance(arguments[0], int):
        _tell("writes", arguments[0])
    elif event in _MAKING:
        _tell("writes", arguments[1] if event == "os.rename" else arguments[0])
    elif event == "socket.__new__" and arguments[1] != 1:  # AF_UNIX
        _tell("socket", str(arguments[1:]))
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        _tell("socket", str(arguments))


sys.addaudithook(_watch)
