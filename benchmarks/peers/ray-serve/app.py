"""Ray Serve: one deployment per work, each asked over HTTP at a route of its own."""

import os
import signal

import ray
from ray import serve
from ray.serve.schema import LoggingConfig
from scoring import load
from starlette.requests import Request


@serve.deployment(ray_actor_options={"num_cpus": 0.1}, max_ongoing_requests=100)
class Scoring:
    """One work."""

    def __init__(self, work: str):
        self.score = load(work, os.environ["MODELS"])

    async def __call__(self, request: Request) -> dict[str, float]:
        """Score one row."""
        return {"prediction": self.score(await request.json())}


def main() -> None:
    """Serve until a signal comes."""
    ray.init(
        _node_ip_address="127.0.0.1",
        include_dashboard=False,
        num_cpus=2,
        object_store_memory=100 * 2**20,
        _temp_dir=os.environ["RAY_FOLDER"],
    )
    logging = LoggingConfig(enable_access_log=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(os.environ["PORT"])}, logging_config=logging)
    for work in ("arithmetic", "lightgbm", "forest"):
        serve.run(Scoring.bind(work), name=work, route_prefix=f"/{work}", logging_config=logging)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()


if __name__ == "__main__":
    main()
