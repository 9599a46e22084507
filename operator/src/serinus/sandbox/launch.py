"""Starts a program that dies with its parent: ``python -I -S launch.py PARENT_PID COMMAND...``

Linux tells a process of its parent's end if it asks (PR_SET_PDEATHSIG), and asking must happen in
the child. A program of its own does that without running Python between fork and exec.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            sys.exit(1)
    try:
        os.execvpe(command[0], command, os.environ)  # noqa: S606 - that is its whole purpose
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        sys.exit(127)


if __name__ == "__main__":
    main()
