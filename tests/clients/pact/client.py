"""The Pact foundation's library for Python, both ways, for the black-box tests.

`client.py verify FILE URL [STATES]` verifies a contract and prints the interactions that failed;
`client.py record FOLDER` plays a consumer against its mock, once for each version of the format.
The last line of the output is JSON.
"""

import json
import sys
import urllib.request

from pact import Pact, Verifier, match


def verify(file, url, states=None):
    verifier = Verifier(json.load(open(file))["provider"]["name"], host="127.0.0.1")
    verifier.add_transport(url=url).add_source(file).set_coloured_output(enabled=False)
    if states:
        verifier.state_handler(states, teardown=False, body=True)
    try:
        verifier.verify()
        holds = True
    except RuntimeError:
        holds = False
    errors = verifier.results.get("errors", [])
    failed = sorted(error["interaction"].removeprefix("Verifying a pact between ") for error in errors)
    print(json.dumps({"holds": holds, "failed": failed, "errors": errors}))


def call(base, method, path, body=None, headers=None):
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(base + path, data, headers or {}, method=method)
    if data:
        request.add_header("content-type", "application/json")
    return json.load(urllib.request.urlopen(request, timeout=10))


def record(folder):
    files = []
    for version in ("V2", "V3", "V4"):
        pact = Pact(f"orders-{version}", "users").with_specification(version)
        user = {
            "id": match.like("u1"),
            "name": match.regex("Kim", regex="^[A-Z][a-z]+$"),
            "tags": match.each_like(match.like("new"), min=1),
        }
        if version != "V2":
            user["age"] = match.integer(30)
            user["balance"] = match.decimal(1.5)
            user["createdAt"] = match.datetime("2026-11-21T16:30:00Z", "%Y-%m-%dT%H:%M:%SZ")
        (
            pact.upon_receiving("a user by its id")
            .given("there is a user u1")
            .with_request("GET", match.regex("/users/u1", regex=r"^/users/\w+$"))
            .with_query_parameter("view", "full")
            .with_header("x-user-id", match.regex("u1", regex=r"\w+"))
            .will_respond_with(200)
            .with_body(user, content_type="application/json")
        )
        (
            pact.upon_receiving("a new user")
            .with_request("POST", "/users")
            .with_body({"name": match.like("Lee")}, content_type="application/json")
            .will_respond_with(201)
            .with_header("location", match.regex("/users/u2", regex="^/users/.+$"))
            .with_body({"id": match.like("u2")}, content_type="application/json")
        )
        with pact.serve() as server:
            base = str(server.url).rstrip("/")
            headers = {"x-user-id": "u7"}
            call(base, "GET", "/users/u9?view=full", headers=headers)
            call(base, "POST", "/users", {"name": "Park"})
        pact.write_file(folder)
        files.append(f"{folder}/orders-{version}-users.json")
    events = []
    for version in ("V3", "V4"):
        pact = Pact(f"analytics-{version}", "orders").with_specification(version)
        (
            pact.upon_receiving("order.placed", "Async")
            .given("an order was placed")
            .with_body({"orderId": match.like("o-1"), "total": match.integer(5)}, content_type="application/json")
        )
        pact.verify(lambda body, metadata: json.loads(body)["total"] + 1, "Async")
        pact.write_file(folder)
        events.append(f"{folder}/analytics-{version}-orders.json")
    print(json.dumps({"files": files, "events": events}))


if __name__ == "__main__":
    {"verify": verify, "record": record}[sys.argv[1]](*sys.argv[2:])
