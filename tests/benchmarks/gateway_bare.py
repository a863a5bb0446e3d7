"""The same model behind FastAPI with nothing in between: what protection is compared with.

``python -m tests.benchmarks.gateway_bare PORT`` serves until killed.
"""

import sys

import numpy as np
import orjson
import torch
import uvicorn
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from tasks.demo.digits import split_digits
from tasks.demo.training import train

app = FastAPI()
network = train(split_digits()[0], epochs=5, epsilon=0, seed=0)


@app.get("/v2/health/ready")
async def ready() -> dict[str, bool]:
    """Answers yes."""
    return {"ready": True}


@app.post("/v2/models/digits/infer")
async def infer(request: Request) -> Response:
    """Answers one request in the event loop, one input at a time."""
    (tensor,) = (await request.json())["inputs"]
    inputs = torch.from_numpy(np.array(tensor["data"], np.float32).reshape(tensor["shape"]))
    with torch.inference_mode():
        scores = torch.softmax(network(inputs), 1)
    output = {"name": "probabilities", "shape": list(scores.shape), "datatype": "FP32"}
    body = {"outputs": [{**output, "data": scores.reshape(-1).tolist()}]}
    return Response(orjson.dumps(body), media_type="application/json")


if __name__ == "__main__":
    torch.set_num_threads(1)
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
