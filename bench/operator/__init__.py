"""How the operator behaves and what it costs with many resources, on a Kubernetes API server.

``python -m bench.operator --help``; ``docs/benchmarks.md`` says what the numbers mean. What a cluster
without nodes and a Gateway lacks is stood in for here, also for ``tests/integration/kubernetes``:
the operator is the real process with its real permissions, and so is the API server.
"""
