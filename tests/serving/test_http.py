"""Every route, every error, and what each answer carries."""

from __future__ import annotations

import socket
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.publishing import Publisher
from tests.serving.conftest import Serve, Service, constant

Folder = Callable[[Mapping[str, str | bytes]], Path]
ECHO = "class M:\n    def transform_predict(self, variables):\n        return {'got': variables}\n"
SUM = "class M:\n    def transform_predict(self, a: int, b: float = 1.0):\n        return {'sum': a + b}\n"


@pytest.fixture
def service(serve: Serve, folder: Folder) -> Service:
    """A server with a few models."""
    raises = "class M:\n    def transform_predict(self, how: str):\n        "
    raises += "raise {'exit': SystemExit, 'interrupt': KeyboardInterrupt, 'memory': MemoryError}.get(how, ValueError)('secret')\n"
    files = {
        "echo/etls.py": ECHO,
        "sum/etls.py": SUM,
        "raises/etls.py": raises,
        "number/etls.py": "class M:\n    def transform_predict(self):\n        return 3\n",
        "strange/etls.py": "class M:\n    def transform_predict(self):\n        return {'deep': [{'odd': object()}]}\n",
        "broken/etls.py": "raise RuntimeError('no')\n",
    }
    return serve(folder(files), MAX_BODY_BYTES="10000")


def assert_problem(response: requests.Response, status: int, slug: str) -> dict[str, Any]:
    """Hold *response* to RFC 9457 and to what every error of ours carries; return the document."""
    assert response.status_code == status
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:model-serving:problem:{slug}"
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == response.headers["X-Request-Id"]
    return document


def post(service: Service, model: str, body: bytes, **headers: str) -> requests.Response:
    """Post raw bytes."""
    return requests.post(f"{service.url}/{model}", data=body, headers=headers, timeout=10)


@pytest.mark.parametrize(
    ("body", "status", "slug"),
    [
        (b"{", 400, "body-malformed"),
        (b'{"variables": {"a": NaN}}', 400, "body-malformed"),
        (b'{"variables": {"a": 1e999}}', 400, "body-malformed"),
        (b"\xff\xfe", 400, "body-malformed"),
        (b"[1]", 400, "body-malformed"),
        (b"[" * 100_00, 400, "body-malformed"),
        (b'{"rows": 1}', 422, "variables-invalid"),
        (b'{"variables": [1]}', 422, "variables-invalid"),
        (b"x" * 10_001, 413, "body-too-large"),
    ],
)
def test_a_bad_body_is_a_problem(service: Service, body: bytes, status: int, slug: str) -> None:
    """A client would get an HTML page, or a traceback of the server's."""
    assert_problem(post(service, "echo", body), status, slug)


def test_variables_that_do_not_fit_list_each_field(service: Service) -> None:
    """A caller would have to guess which of forty variables is wrong."""
    document = assert_problem(service.post("sum", {"a": "x", "b": "y"}), 422, "variables-invalid")
    assert [error["field"] for error in document["errors"]] == ["a", "b"]
    assert document["model"] == "sum"


def test_a_body_that_is_declared_as_something_else_is_415(service: Service) -> None:
    """A form would be scored as if it were JSON, or fail without a reason."""
    assert_problem(
        post(service, "echo", b"a=1", **{"Content-Type": "application/x-www-form-urlencoded"}),
        415,
        "not-json",
    )
    assert (
        post(service, "echo", b"{}", **{"Content-Type": "application/json; charset=utf-8"}).status_code == 200
    )
    assert post(service, "echo", b"{}", **{"Content-Type": "application/vnd.api+json"}).status_code == 200


@pytest.mark.parametrize("how", ["exit", "interrupt", "memory", "value"])
def test_whatever_a_model_raises_is_that_requests_500_alone(service: Service, how: str) -> None:
    """sys.exit() in one model would end the server."""
    document = assert_problem(service.post("raises", {"how": how}), 500, "model-raised")
    assert "secret" not in str(document)
    assert service.post("echo", {"x": 1}).json() == {"got": {"x": 1}}
    assert "secret" in service.server.output()


def test_debug_shows_the_traceback(serve: Serve, folder: Folder) -> None:
    """A developer would have to look into the server's log."""
    root = folder(
        {"m/etls.py": "class M:\n    def transform_predict(self):\n        raise ValueError('secret')\n"}
    )
    document = assert_problem(serve(root, DEBUG="true").post("m"), 500, "model-raised")
    assert "ValueError: secret" in "".join(document["traceback"])


def test_what_is_no_json_object_is_a_500_that_names_it(service: Service) -> None:
    """The author would not learn what the model returned."""
    assert "int" in assert_problem(service.post("number"), 500, "result-invalid")["detail"]
    assert "deep[0].odd" in assert_problem(service.post("strange"), 500, "result-invalid")["detail"]


def test_an_unknown_model_is_404_with_the_nearest_name(service: Service) -> None:
    """A typo would cost a look into the repository."""
    assert assert_problem(service.post("ecco"), 404, "model-unknown")["nearest"] == "echo"
    assert_problem(service.get("/somewhere/else"), 404, "not-found")
    assert_problem(service.get("/models_serve/%FF%FE"), 404, "not-found")


def test_a_flood_of_stray_paths_stays_cheap_and_adds_no_series(service: Service) -> None:
    """A scanner would cost CPU and memory, here and in Prometheus."""
    assert service.get("/models_serve/stray").status_code == 404
    assert service.get("/metrics").ok
    lines = len(service.get("/metrics").text.splitlines())
    with requests.Session() as session:
        for number in range(1000):
            assert session.get(f"{service.url}/wp-login-{number}.php", timeout=5).status_code == 404
    assert len(service.get("/metrics").text.splitlines()) == lines


def test_a_wrong_method_is_405_with_allow(service: Service) -> None:
    """A client would not learn which method to use."""
    for path, allow in (
        ("/models_serve/echo", "GET, HEAD, POST"),
        ("/healthz", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ):
        response = requests.delete(f"{service.server.url}{path}", timeout=5)
        assert_problem(response, 405, "method-not-allowed")
        assert response.headers["Allow"] == allow


def test_a_model_that_never_loaded_is_503_with_its_reason(service: Service) -> None:
    """A caller would be told 404 for a model that exists."""
    response = service.post("broken")
    assert assert_problem(response, 503, "model-not-loaded")["detail"] == "RuntimeError: no"
    assert int(response.headers["Retry-After"]) > 0
    assert_problem(service.get("/models_serve/broken/ready"), 503, "model-not-loaded")
    assert service.get("/models_serve/echo/ready").status_code == 200


def test_every_answer_carries_a_request_id(service: Service) -> None:
    """A failure could not be found in the log."""
    sane = service.get("/healthz", headers={"X-Request-Id": "trace-7"})
    assert sane.headers["X-Request-Id"] == "trace-7"
    insane = service.get("/healthz", headers={"X-Request-Id": "a b" * 100})
    assert insane.headers["X-Request-Id"] != "a b" * 100
    assert service.get("/healthz").headers["X-Request-Id"] != service.get("/healthz").headers["X-Request-Id"]


def test_malformed_framing_is_a_problem_too(service: Service) -> None:
    """A protocol error would skip the request id, the metrics and the log."""
    host, port = service.server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"application/problem+json" in answer
    assert b"X-Request-Id: " in answer
    assert service.metric('http_requests_total{method="other",route="malformed",status="400"}') == 1


def test_chunked_bodies_and_head_and_get_work(service: Service) -> None:
    """Clients that stream their body, or only ask, would be refused."""
    chunked = requests.post(f"{service.url}/echo", data=iter([b'{"variables":', b' {"a": 1}}']), timeout=5)
    assert chunked.json() == {"got": {"a": 1}}
    head = requests.head(f"{service.url}/echo", timeout=5)
    assert head.status_code == 200
    assert head.content == b""
    assert service.get("/models_serve/echo").json() == {"got": {}}
    assert service.get("/models_serve/echo/").json() == {"got": {}}


def test_the_status_page_lists_every_model(service: Service) -> None:
    """Nobody could see what serves."""
    page = service.get("/models_serve/").json()
    assert page == service.get("/").json() == service.get("/models_serve").json()
    assert page["revision"] is None
    assert [model["name"] for model in page["models"]] == [
        "broken",
        "echo",
        "number",
        "raises",
        "strange",
        "sum",
    ]
    assert {model["status"] for model in page["models"]} == {"serving", "failed"}


@pytest.mark.parametrize("name", ["with space", "model.v1-b", "métrica", "a+b&c", "100%", "日本"])
def test_odd_folder_names_answer(serve: Serve, folder: Folder, name: str) -> None:
    """A folder that a file system takes would not be reachable."""
    service = serve(folder({f"{name}/etls.py": constant("odd")}))
    assert service.post(quote(name)).json() == {"answer": "odd"}
    assert service.post(quote(unicodedata.normalize("NFD", name))).json() == {"answer": "odd"}
    assert f'model_up{{model="{name}"}} 1.0' in service.get("/metrics").text


@pytest.mark.parametrize(("base_url", "path"), [("", ""), ("a/b", "/a/b"), ("/x/", "/x")])
def test_the_base_url_may_have_any_depth(serve: Serve, folder: Folder, base_url: str, path: str) -> None:
    """Behind an ingress with a path prefix nothing would answer."""
    service = serve(folder({"model/etls.py": constant("here")}), baseUrl=base_url)
    assert service.get(f"{path}/model").json() == {"answer": "here"}
    assert service.get(f"{path}/all").json() == {"model": {"answer": "here"}}
    assert service.get(f"{path}/").json()["models"][0]["name"] == "model"
    assert service.get("/healthz").status_code == 200


def test_answers_name_the_commit_and_the_content(serve: Serve, publisher: Publisher) -> None:
    """Nobody could tell which version gave an answer."""
    revision = publisher.push({"model/etls.py": constant("one")})
    service = serve(publisher.link)
    response = service.post("model")
    assert response.headers["X-Model-Revision"] == revision
    assert response.headers["X-Model-Version"] == service.status("model")["version"]
    assert service.get("/models_serve/all").headers["X-Checkout-Revision"] == revision
    assert service.metric(f'checkout_info{{revision="{revision}"}}') == 1
    version = service.status("model")["version"]
    assert service.metric(f'model_info{{model="model",revision="{revision}",version="{version}"}}') == 1


def test_readiness_may_ask_for_every_model(serve: Serve, folder: Folder) -> None:
    """A pod with half of its models would take traffic although its owner forbade it."""
    root = folder({"good/etls.py": constant("good"), "broken/etls.py": "raise RuntimeError('no')\n"})
    service = serve(root, wait=False, READY_POLICY="all")
    service.wait_for_answer("good", "good")
    document = assert_problem(service.get("/readyz"), 503, "not-ready")
    assert document["reasons"] == ["broken: RuntimeError: no"]


def test_readiness_is_503_when_no_model_serves(serve: Serve, folder: Folder) -> None:
    """A pod that can answer nothing would take traffic."""
    service = serve(folder({"broken/etls.py": "raise RuntimeError('no')\n"}), wait=False)
    document = assert_problem(service.get("/readyz"), 503, "not-ready")
    assert document["reasons"][0]


def test_an_empty_root_is_ready(serve: Serve, folder: Folder) -> None:
    """A fresh installation would never become ready."""
    service = serve(folder({}))
    assert service.get("/").json()["models"] == []
    assert service.get("/models_serve/all").json() == {}
