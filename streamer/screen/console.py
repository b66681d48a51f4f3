"""The console of Windows, which takes escape sequences only once it is told to."""

from __future__ import annotations

import sys

_ENABLE_VIRTUAL_TERMINAL_PROCESSING = 0x0004


def takes_sequences(descriptor: int) -> bool:
    """Return whether a terminal takes escape sequences, after switching them on under Windows."""
    if sys.platform != "win32":
        return True
    import ctypes
    import msvcrt
    from ctypes import wintypes

    kernel = ctypes.WinDLL("kernel32")
    handle = wintypes.HANDLE(msvcrt.get_osfhandle(descriptor))
    mode = wintypes.DWORD()
    if not kernel.GetConsoleMode(handle, ctypes.byref(mode)):
        return False  # a terminal that is not a console, such as mintty's
    wanted = mode.value | _ENABLE_VIRTUAL_TERMINAL_PROCESSING
    return bool(kernel.SetConsoleMode(handle, wintypes.DWORD(wanted)))
