"""Send requests in a closed loop until told to stop, and print what was answered; runs in a pod of the cluster.

Kept connections and fresh ones, side by side, as callers have them. Nothing is sent twice: an answer other than 200
and any trouble with a connection is a lost request. A kept connection that the server has closed meanwhile is
replaced before it is used, as every HTTP library does; one that breaks *while* it is used is a lost request.
"""

import collections
import http.client
import json
import random
import select
import sys
import threading
import time
from pathlib import Path

BODY = b'{"variables": {"x": 1}}'
HEADERS = {"Content-Type": "application/json"}


class Tally:
    """What all the threads have seen."""

    def __init__(self):
        self._lock = threading.Lock()
        self.answered = collections.Counter()
        self.lost = []
        self.connections = 0

    def answer(self, status, text):
        """Count one answer."""
        with self._lock:
            if status == 200:
                self.answered[text] += 1
            else:
                self.lost.append(f"{status} {text[:300]}")

    def trouble(self, error):
        """Count a request without an answer."""
        with self._lock:
            self.lost.append(f"{time.strftime('%H:%M:%S')} {type(error).__name__}: {error}")

    def connected(self):
        """Count a connection."""
        with self._lock:
            self.connections += 1


class Caller(threading.Thread):
    """One caller in a closed loop; *kept* keeps its connection, *pause* is the longest time between two calls."""

    def __init__(self, plan, tally, ended, kept, pause):
        super().__init__()
        self._plan, self._tally, self._ended = plan, tally, ended
        self._kept, self._pause = kept, pause
        self._connection = None

    def run(self):
        """Call until the end."""
        while not self._ended.wait(random.uniform(0, self._pause)):
            try:
                self._call()
            except (OSError, http.client.HTTPException) as error:
                self._tally.trouble(error)
                self._drop()

    def _call(self):
        if self._connection is None or self._was_closed():
            self._drop()
            self._connection = http.client.HTTPConnection(self._plan["host"], self._plan["port"], timeout=60)
            self._connection.connect()
            self._tally.connected()
        headers = HEADERS if self._kept else HEADERS | {"Connection": "close"}
        self._connection.request("POST", self._plan["path"], BODY, headers)
        response = self._connection.getresponse()
        self._tally.answer(response.status, response.read().decode())
        if not self._kept:
            self._drop()

    def _was_closed(self):
        socket = self._connection.sock
        return socket is None or bool(select.select([socket], [], [], 0)[0])

    def _drop(self):
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def main(plan):
    """Run *plan*; return what came of it."""
    tally, ended = Tally(), threading.Event()
    kept = [Caller(plan, tally, ended, True, pause) for pause in plan["kept"]]
    fresh = [Caller(plan, tally, ended, False, pause) for pause in plan["fresh"]]
    for caller in kept + fresh:
        caller.start()
    stop_file = Path(plan["stop_file"])
    deadline = time.monotonic() + plan["at_most_seconds"]
    while time.monotonic() < deadline and not stop_file.exists():
        time.sleep(0.1)
    ended.set()
    for caller in kept + fresh:
        caller.join()
    return {"answered": tally.answered, "lost": tally.lost, "connections": tally.connections}


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
