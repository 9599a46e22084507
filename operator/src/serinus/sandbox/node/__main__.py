"""``python -m serinus.sandbox.node --kubeconfig FILE --state-dir FOLDER``"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from serinus.sandbox import program
from serinus.sandbox.client import KubeClient
from serinus.sandbox.node.agent import Node, NodeSettings


def main() -> int:
    parser = program.parser("node", "Runs pods as local processes.")
    parser.add_argument("--name", default="sandbox", help="the node's name")
    parser.add_argument("--state-dir", type=Path, required=True, help="pods' logs and files")
    parser.add_argument("--scrape-targets", type=Path, help="written for Prometheus' file_sd")
    options = parser.parse_args()
    folder = options.state_dir.resolve()
    settings = NodeSettings(
        name=options.name, folder=folder, seed=str(folder), targets=options.scrape_targets
    )

    async def serve(client: KubeClient, ready: Callable[[], None]) -> None:
        with program.alone_in(folder):
            await Node(client, settings).run(ready)

    return program.run(options, serve)


if __name__ == "__main__":
    sys.exit(main())
