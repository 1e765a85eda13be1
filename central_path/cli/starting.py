"""Ctrl-C while a program imports its modules: one line instead of a traceback.

It is the first that a package imports, and imports next to nothing, so that little can be interrupted before it.
"""

import os
import signal
import sys

INTERRUPTED = 130  # the shell's exit code for Ctrl-C


def quiet_start(package: str) -> None:
    """Until `restore_interrupts`, Ctrl-C ends a program of the package in one line.

    It does nothing unless the process was started by `python -m PACKAGE...` and imports the program now.
    """
    words = sys.orig_argv
    flag = next((i for i, word in enumerate(words) if word.startswith("-m")), None)
    if sys.argv[:1] != ["-m"] or flag is None:  # what runpy writes there while it looks for the module
        return
    module = words[flag][2:] or "".join(words[flag + 1 : flag + 2])
    if module.partition(".")[0] == package and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def _leave(*_: object) -> None:
    try:
        os.write(2, b"interrupted, nothing written\n")
    finally:
        os._exit(INTERRUPTED)


def restore_interrupts() -> None:
    """Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)
