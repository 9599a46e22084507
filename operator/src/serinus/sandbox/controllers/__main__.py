"""``python -m serinus.sandbox.controllers --kubeconfig FILE``"""

from __future__ import annotations

import sys

from serinus.sandbox import program
from serinus.sandbox.controllers import manager

if __name__ == "__main__":
    options = program.parser("controllers", "Deployments, Services, owners, scheduling.")
    sys.exit(program.run(options.parse_args(), manager.run))
