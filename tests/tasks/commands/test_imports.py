"""Prefect reads its settings once, so no command may load it before the server's address is set."""

import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

from tasks import commands

ROOT = Path(__file__).parents[3]
LOADS = """
import importlib, json, sys
guilty = []
for name in sys.argv[1:]:
    importlib.import_module(f"tasks.commands.{name}")
    if "prefect" in sys.modules:
        guilty.append(name)
        break
print(json.dumps(guilty))
"""


def test_no_command_loads_prefect_when_it_is_imported() -> None:
    names = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))
    assert "nightly" in names
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *names],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout) == []
