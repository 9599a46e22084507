"""``python -m serinus.sandbox.gateway --kubeconfig FILE --state-dir FOLDER``"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from serinus.sandbox import program
from serinus.sandbox.client import KubeClient
from serinus.sandbox.gateway.controller import Gateway


def main() -> int:
    parser = program.parser("gateway", "Serves Gateways and HTTPRoutes with Envoy.")
    parser.add_argument("--state-dir", type=Path, required=True, help="Envoy's configuration")
    options = parser.parse_args()
    folder = options.state_dir.resolve()

    async def serve(client: KubeClient, ready: Callable[[], None]) -> None:
        with program.alone_in(folder):
            await Gateway(client, folder / "envoy").run(ready)

    return program.run(options, serve)


if __name__ == "__main__":
    sys.exit(main())
