"""Runs before a command (``PYTHONPATH``) and logs its access to files and to the network.

It writes a line for each file created, renamed, removed or opened to write, and for each socket
that leads out of this machine. It sees only Python's own calls; for libraries in C the tests use
``unshare`` and ``strace`` if available.
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
