"""Which bytes are a request, and which are refused: the table that keeps smugglers out."""

import pytest

HOST = b"Host: test\r\n"
CHUNKED = b"POST /x HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"


def get(*fields: bytes, line: bytes = b"GET /x HTTP/1.1", host: bytes = HOST) -> bytes:
    return line + b"\r\n" + host + b"".join(field + b"\r\n" for field in fields) + b"\r\n"


def post(*fields: bytes, body: bytes = b"") -> bytes:
    return get(*fields, line=b"POST /x HTTP/1.1") + body


REFUSED = {
    # The request line.
    "two spaces after the method": (get(line=b"GET  /x HTTP/1.1"), 400),
    "two spaces before the version": (get(line=b"GET /x  HTTP/1.1"), 400),
    "a tab in the request line": (get(line=b"GET\t/x HTTP/1.1"), 400),
    "a space after the version": (get(line=b"GET /x HTTP/1.1 "), 400),
    "a space before the method": (get(line=b" GET /x HTTP/1.1"), 400),
    "a target with a space": (get(line=b"GET /x y HTTP/1.1"), 400),
    "no version": (b"GET /x\r\n\r\n", 400),
    "no target": (get(line=b"GET HTTP/1.1"), 400),
    "a version in lower case": (get(line=b"GET /x http/1.1"), 400),
    "a version with two digits": (get(line=b"GET /x HTTP/1.10"), 400),
    "a version with a leading zero": (get(line=b"GET /x HTTP/01.1"), 400),
    "another protocol": (get(line=b"GET /x ICE/1.0"), 400),
    "HTTP/2 by name": (get(line=b"GET /x HTTP/2.0"), 505),
    "HTTP/0.9 by name": (get(line=b"GET /x HTTP/0.9"), 505),
    "the preface of HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "a method that is no token": (get(line=b"GE(T /x HTTP/1.1"), 400),
    "an unknown method": (get(line=b"BREW /x HTTP/1.1"), 501),
    "a method in lower case": (get(line=b"get /x HTTP/1.1"), 501),
    "CONNECT": (get(line=b"CONNECT test:443 HTTP/1.1"), 501),
    "a fragment in the target": (get(line=b"GET /x#y HTTP/1.1"), 400),
    "a backslash in the target": (get(line=b"GET /x\\y HTTP/1.1"), 400),
    "a control character in the target": (get(line=b"GET /x\x01 HTTP/1.1"), 400),
    "a byte beyond ASCII in the target": (get(line=b"GET /\xc3\xa9 HTTP/1.1"), 400),
    "a malformed percent escape": (get(line=b"GET /%zz HTTP/1.1"), 400),
    "a cut percent escape": (get(line=b"GET /%4 HTTP/1.1"), 400),
    "a target without a slash": (get(line=b"GET x HTTP/1.1"), 400),
    "an asterisk with GET": (get(line=b"GET * HTTP/1.1"), 400),
    "an absolute target of another scheme": (get(line=b"GET ftp://test/x HTTP/1.1"), 400),
    "an absolute target with a user": (get(line=b"GET http://me@test/x HTTP/1.1"), 400),
    "two empty lines before the request": (b"\r\n\r\n" + get(), 400),
    "a bare LF before the request": (b"\n" + get(), 400),
    # Line endings and folding.
    "a bare LF after the request line": (b"GET /x HTTP/1.1\nHost: test\r\n\r\n", 400),
    "a bare LF after a field": (b"GET /x HTTP/1.1\r\nHost: test\nA: b\r\n\r\n", 400),
    "a bare LF at the end of the head": (b"GET /x HTTP/1.1\r\nHost: test\r\n\n", 400),
    "nothing but bare LFs": (b"GET /x HTTP/1.1\nHost: test\n\n", 400),
    "a bare CR in a value": (get(b"A: b\rc"), 400),
    "two CRs before the LF": (get(b"A: b\r"), 400),
    "a folded field": (get(b"A: b\r\n c"), 400),
    "a fold with a tab": (get(b"A: b\r\n\tc"), 400),
    "a fold before the first field": (b"GET /x HTTP/1.1\r\n A: b\r\nHost: test\r\n\r\n", 400),
    # Field names and values.
    "a space before the colon": (get(b"A : b"), 400),
    "a tab before the colon": (get(b"A\t: b"), 400),
    "an empty field name": (get(b": b"), 400),
    "a field without a colon": (get(b"Abc"), 400),
    "a field name with a parenthesis": (get(b"A(b: c"), 400),
    "a field name beyond ASCII": (get(b"A\xe9: c"), 400),
    "a NUL in a value": (get(b"A: b\0c"), 400),
    "a control character in a value": (get(b"A: b\x01c"), 400),
    "a DEL in a value": (get(b"A: b\x7fc"), 400),
    # Host.
    "no Host": (get(host=b""), 400),
    "two Hosts": (get(b"Host: other"), 400),
    "the same Host twice": (get(b"Host: test"), 400),
    "Host in two spellings": (get(b"hOST: test"), 400),
    "a Host with a path": (get(host=b"Host: test/x\r\n"), 400),
    "a Host with a user": (get(host=b"Host: me@test\r\n"), 400),
    "two hosts in one Host": (get(host=b"Host: test, other\r\n"), 400),
    "a Host with a port that is no number": (get(host=b"Host: test:http\r\n"), 400),
    "two Content-Types": (get(b"Content-Type: a/b", b"Content-Type: c/d"), 400),
    # The length of the body.
    "a negative length": (post(b"Content-Length: -1"), 400),
    "a length with a plus": (post(b"Content-Length: +5", body=b"hello"), 400),
    "a hexadecimal length": (post(b"Content-Length: 0x5", body=b"hello"), 400),
    "a length with a space inside": (post(b"Content-Length: 1 1", body=b"hello"), 400),
    "a list of lengths": (post(b"Content-Length: 5, 5", body=b"hello"), 400),
    "an empty length": (post(b"Content-Length: ", body=b"hello"), 400),
    "a length that is no number": (post(b"Content-Length: five", body=b"hello"), 400),
    "a length with digits of another script": (post(b"Content-Length: \xd9\xa5", body=b"hello"), 400),
    "two lengths that differ": (post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello"), 400),
    "two lengths that agree": (post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"), 400),
    "a length beyond 64 bits": (post(b"Content-Length: 99999999999999999999"), 400),
    "a length and a transfer coding": (
        post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
    ),
    "a transfer coding and a length": (
        post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"),
        400,
    ),
    "a transfer coding in HTTP/1.0": (
        get(b"Transfer-Encoding: chunked", line=b"POST /x HTTP/1.0") + b"0\r\n\r\n",
        400,
    ),
    "an unknown transfer coding": (post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"), 400),
    "the identity coding": (post(b"Transfer-Encoding: identity", body=b"hello"), 400),
    "chunked and then something else": (post(b"Transfer-Encoding: chunked, gzip", body=b"0\r\n\r\n"), 400),
    "chunked twice": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n"), 400),
    "chunked in two fields": (
        post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
    ),
    "chunked in quotes": (post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"), 400),
    "chunked with a parameter": (post(b"Transfer-Encoding: chunked;a=b", body=b"0\r\n\r\n"), 400),
    "chunked behind a vertical tab": (post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"), 400),
    "a compressed body in chunks": (post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
    # Names that a gateway would turn into others.
    "a length with an underscore": (post(b"Content_Length: 5", body=b"hello"), 400),
    "a transfer coding with an underscore": (post(b"Transfer_Encoding: chunked", body=b"0\r\n\r\n"), 400),
    "an underscore that imitates a field": (get(b"X-User: me", b"X_User: you"), 400),
    # Chunks.
    "a chunk size with a sign": (CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n", 400),
    "a negative chunk size": (CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk size with 0x": (CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk size with an underscore": (CHUNKED + b"1_0\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk size after a space": (CHUNKED + b" 5\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk size before a space": (CHUNKED + b"5 \r\nhello\r\n0\r\n\r\n", 400),
    "an empty chunk size": (CHUNKED + b"\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk size that ends in a bare LF": (CHUNKED + b"5\nhello\r\n0\r\n\r\n", 400),
    "a chunk size that ends in a bare CR": (CHUNKED + b"5\rhello\r\n0\r\n\r\n", 400),
    "a chunk size beyond 64 bits": (CHUNKED + b"1" + b"0" * 16 + b"\r\n", 400),
    "a chunk longer than its size": (CHUNKED + b"5\r\nhelloo\r\n0\r\n\r\n", 400),
    "a chunk that ends in other bytes": (CHUNKED + b"5\r\nhelloXX0\r\n\r\n", 400),
    "a chunk that ends in a bare LF": (CHUNKED + b"5\r\nhello\n0\r\n\r\n", 400),
    "a chunk extension without a name": (CHUNKED + b"5;\r\nhello\r\n0\r\n\r\n", 400),
    "a chunk extension with a bare LF": (CHUNKED + b"5;a\nb\r\nhello\r\n0\r\n\r\n", 400),
    "an endless chunk extension": (CHUNKED + b"5;" + b"a" * 2000 + b"\r\nhello\r\n0\r\n\r\n", 400),
    "a folded trailer": (CHUNKED + b"0\r\nA: b\r\n c\r\n\r\n", 400),
    "a trailer without a colon": (CHUNKED + b"0\r\nAbc\r\n\r\n", 400),
    "a length in the trailer": (CHUNKED + b"0\r\nContent-Length: 5\r\n\r\n", 400),
    "a Host in the trailer": (CHUNKED + b"0\r\nHost: other\r\n\r\n", 400),
    "an endless trailer": (CHUNKED + b"0\r\n" + b"A: b\r\n" * 2000 + b"\r\n", 400),
    "a trailer that ends in a bare LF": (CHUNKED + b"0\r\nA: b\n\r\n", 400),
    # Limits and expectations.
    "an unknown expectation": (post(b"Expect: 200-ok", b"Content-Length: 0"), 417),
    "a request line over the limit": (get(line=b"GET /" + b"x" * 70_000 + b" HTTP/1.1"), 414),
    "a field over the limit": (get(b"A: " + b"x" * 70_000), 431),
    "too many fields": (get(*[b"A%d: b" % number for number in range(100)]), 431),
    "a length over the limit": (post(b"Content-Length: 1048577"), 413),
    "a chunk over the limit": (CHUNKED + b"100001\r\n", 413),
    "chunks over the limit": (CHUNKED + (b"80000\r\n" + b"x" * 0x80000 + b"\r\n") * 3, 413),
    # Other protocols.
    "a TLS client": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), 400),
    "garbage": (b"\xff\xfe\xfd\r\n\r\n", 400),
}

ACCEPTED = {
    "a plain request": (get(), b"GET /x? "),
    "one empty line before the request": (b"\r\n" + get(), b"GET /x? "),
    "a later minor version": (get(line=b"GET /x HTTP/1.9"), b"GET /x? "),
    "HTTP/1.0 without a Host": (get(line=b"GET /x HTTP/1.0", host=b""), b"GET /x? "),
    "an absolute target": (get(line=b"GET http://test/x?a=b HTTP/1.1"), b"GET /x?a=b "),
    "an absolute target without a path": (get(line=b"GET http://test?a HTTP/1.1"), b"GET /?a "),
    "an asterisk with OPTIONS": (get(line=b"OPTIONS * HTTP/1.1"), b"OPTIONS *? "),
    "an escaped target": (get(line=b"GET /a%20b%2Fc?d%20e HTTP/1.1"), b"GET /a b/c?d%20e "),
    "slashes at the front": (get(line=b"GET //x HTTP/1.1"), b"GET //x? "),
    "an empty query": (get(line=b"GET /x? HTTP/1.1"), b"GET /x? "),
    "an empty Host": (get(host=b"Host:\r\n"), b"GET /x? "),
    "a Host with a port": (get(host=b"Host: test:80\r\n"), b"GET /x? "),
    "an IPv6 Host": (get(host=b"Host: [::1]:80\r\n"), b"GET /x? "),
    "an empty value": (get(b"A:"), b"GET /x? "),
    "a value in tabs": (get(b"A:\tb\t"), b"GET /x? "),
    "a value beyond ASCII": (get(b"A: \xe9"), b"GET /x? "),
    "a field twice": (get(b"A: b", b"A: c"), b"GET /x? "),
    "an unknown field with an underscore": (get(b"X_User: me"), b"GET /x? "),
    "an upgrade that is not taken": (get(b"Connection: Upgrade", b"Upgrade: h2c"), b"GET /x? "),
    "an upgrade with a body": (
        post(b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 5", body=b"hello"),
        b"POST /x? hello",
    ),
    "a hundred fields": (get(*[b"A%d: b" % number for number in range(99)]), b"GET /x? "),
    "a target of 8000 bytes": (
        get(line=b"GET /x?" + b"y" * 8000 + b" HTTP/1.1"),
        b"GET /x?" + b"y" * 8000 + b" ",
    ),
    "a body": (post(b"Content-Length: 5", body=b"hello"), b"POST /x? hello"),
    "a length with leading zeros": (post(b"Content-Length: 005", body=b"hello"), b"POST /x? hello"),
    "a body with GET": (get(b"Content-Length: 5") + b"hello", b"GET /x? hello"),
    "no body with POST": (post(), b"POST /x? "),
    "a body of the largest size": (
        post(b"Content-Length: 1048576", body=b"x" * 1_048_576),
        b"POST /x? " + b"x" * 1_048_576,
    ),
    "chunks": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", b"POST /x? hello world"),
    "chunked in capitals": (post(b"Transfer-Encoding: Chunked", body=b"1\r\na\r\n0\r\n\r\n"), b"POST /x? a"),
    "no chunks at all": (CHUNKED + b"0\r\n\r\n", b"POST /x? "),
    "a chunk size with leading zeros": (CHUNKED + b"005\r\nhello\r\n000\r\n\r\n", b"POST /x? hello"),
    "a chunk size in capitals": (CHUNKED + b"A\r\n0123456789\r\n0\r\n\r\n", b"POST /x? 0123456789"),
    "chunk extensions": (
        CHUNKED + b'5;a;b=c;d="e;\\"f"\r\nhello\r\n0;g\r\n\r\n',
        b"POST /x? hello",
    ),
    "trailer fields": (CHUNKED + b"5\r\nhello\r\n0\r\nA: b\r\nC: d\r\n\r\n", b"POST /x? hello"),
    "line endings inside of a chunk": (CHUNKED + b"4\r\n\r\n\r\n\r\n0\r\n\r\n", b"POST /x? \r\n\r\n"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(site, name):
    """What is no request is answered with the reason and a closed connection, and never reaches a model."""
    data, status = REFUSED[name]
    called = []
    site.routes["/x"] = lambda environ: called.append(environ) or b""
    client = site.client().send(data)
    answer = client.answer()
    assert (answer.status, answer.headers["connection"]) == (status, "close")
    assert client.rest() == b""
    assert [refused for refused, _ in site.rejected] == [status]
    assert called == []


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(site, name):
    """What HTTP/1.1 obliges a server to take is taken."""
    data, body = ACCEPTED[name]
    answer = site.client().send(data).answer()
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize("name", [name for name, (data, _) in ACCEPTED.items() if len(data) < 4096])
def test_accepted_however_it_is_cut(site, name):
    """The same request means the same when the network delivers it in small pieces."""
    data, body = ACCEPTED[name]
    client = site.client()
    for place in range(len(data)):
        client.send(data[place : place + 1])
    answer = client.answer()
    assert (answer.status, answer.body) == (200, body)
