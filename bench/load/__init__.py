"""The load generator: a process of its own that asks over keep-alive connections.

``python -m bench.load`` reads one job (JSON) from standard input and writes its outcome to
standard output. Every answer is compared, byte by byte, with the one that was checked before.
It must cost much less than a server per request.
"""
