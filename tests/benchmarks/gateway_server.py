"""A gateway in a process of its own for the load test: the digits model in a real sandbox child.

``python -m tests.benchmarks.gateway_server FOLDER PORT`` prints nothing and serves until killed.
"""

import os
import sys
from pathlib import Path

import numpy as np
import safetensors.numpy
import uvicorn
import yaml

from tasks.demo.digits import split_digits
from tasks.demo.training import LAYERS, train
from tasks.domain.bundle import ModelSpec
from tasks.gateway.policy import GatewayPolicy, Role
from tasks.gateway.service import gateway_app
from tasks.gateway.starting import Surroundings, built_gateway
from tasks.sandbox.opening import open_sandbox
from tasks.store.local import LocalStore
from tasks.store.protocol import ObjectStore
from tests.simulators.gateway import Accepted

SPEC = ModelSpec.model_validate(
    {
        "name": "digits", "version": "1", "task": "classification",
        "artifact": "model.safetensors", "architecture": "layers.yaml",
        "input": {"shape": [1, 8, 8]}, "output": {"kind": "logits", "classes": 10},
    }
)  # fmt: skip
POLICY = GatewayPolicy(
    roles={
        **GatewayPolicy().roles,
        "internal": Role(rate_per_second=1e6, burst=1_000_000),
        "exact": Role(rate_per_second=0.001, burst=1000),
    }
)


def digits_model(store: ObjectStore) -> Accepted:
    """Trains the demo's network for a moment and stores it as an accepted bundle would lie."""
    network = train(split_digits()[0], epochs=5, epsilon=0, seed=0)
    weights = {name: np.ascontiguousarray(t.numpy()) for name, t in network.state_dict().items()}
    layers = yaml.safe_dump({"layers": list(LAYERS)}).encode()
    return Accepted(
        asset="Acme/digits@1",
        run="run-bench",
        subject=store.put(b"bench").digest,
        spec=SPEC,
        artifact=store.put(safetensors.numpy.save(weights)).digest,
        architecture=store.put(layers).digest,
    )


def main() -> None:
    """Serves."""
    home, port = Path(sys.argv[1]), int(sys.argv[2])
    store = LocalStore(home / "store")
    redis = os.environ.get("BENCH_REDIS", "")
    around = Surroundings(home, store, open_sandbox(), redis=redis)
    parts = built_gateway(digits_model(store), None, POLICY, around)
    uvicorn.run(
        gateway_app(parts), port=port, log_level="warning", access_log=False, ws="none",
        h11_max_incomplete_event_size=16 << 10,
    )  # fmt: skip


if __name__ == "__main__":
    main()
