"""LitServe with one API per work on one port; each API is a worker process of its own."""

import os

import litserve as ls
from scoring import load


class Scoring(ls.LitAPI):
    """One work."""

    def __init__(self, work):
        super().__init__(api_path=f"/{work}")
        self.work = work

    def setup(self, device):  # noqa: ARG002 - LitServe passes it
        """Load the model in the worker."""
        self.score = load(self.work, os.environ["MODELS"])

    def decode_request(self, request):
        """Take the whole body as the row."""
        return request

    def predict(self, row):
        """Score one row."""
        return self.score(row)

    def encode_response(self, prediction):
        """Name the number."""
        return {"prediction": prediction}


if __name__ == "__main__":
    apis = [Scoring(work) for work in ("arithmetic", "lightgbm", "forest")]
    server = ls.LitServer(apis, accelerator="cpu", workers_per_device=1)
    server.run(
        host="127.0.0.1",
        port=int(os.environ["PORT"]),
        num_api_servers=1,
        generate_client_file=False,
        access_log=False,
    )
