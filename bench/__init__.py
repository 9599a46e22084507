"""Benchmarks of the model server against what a careful person would write in an hour.

``python -m bench --help``; ``docs/benchmarks.md`` says what the numbers mean. Linux only: memory
and CPU time are read from /proc.
"""
