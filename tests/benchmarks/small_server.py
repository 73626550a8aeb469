"""A server of the standard library for the harness to measure: `python small_server.py PORT [FAULT]`.

It multiplies and adds like the servers of the comparison. FAULT makes every third answer bad: "wrong" is off by
one, "status" a 500, "close" ends the connection after each answer.
"""

import http.server
import itertools
import json
import sys

FAULT = sys.argv[2] if len(sys.argv) > 2 else ""


class Handler(http.server.BaseHTTPRequestHandler):
    """Answer POST with {"prediction": a * b + c}."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    count = itertools.count(1)

    def do_POST(self):
        """Score one row."""
        row = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prediction = row["a"] * row["b"] + row["c"]
        is_third = next(self.count) % 3 == 0
        if FAULT == "wrong" and is_third:
            prediction += 1
        body = json.dumps({"prediction": prediction}).encode()
        self.send_response(500 if FAULT == "status" and is_third else 200)
        self.send_header("Content-Length", str(len(body)))
        if FAULT == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Stay silent."""


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
