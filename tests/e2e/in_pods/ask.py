"""Send one HTTP request and print the answer as JSON; runs in a pod of the cluster."""

import json
import sys
import urllib.error
import urllib.request


def main(url, body):
    """Return the status, the headers (names in lower case) and the text of the answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    except OSError as error:
        return {"status": 0, "headers": {}, "text": str(error)}
    with answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return {"status": answer.status, "headers": headers, "text": answer.read().decode()}


if __name__ == "__main__":
    json.dump(main(*json.loads(sys.argv[1])), sys.stdout)
