"""gRPC's own client (PyPI grpcio), which knows nothing of the services but what reflection says.

client.py calls GATEWAY TOKEN USER OTHER PRODUCT: all kinds of calls, one line of JSON with what
came of each. client.py large TARGET TOKEN MIB: one message of this size. client.py until TARGET
PRODUCT: watches a stock until the service ends it.
"""

import json
import socket
import sys
import threading
import time
import urllib.request

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

USERS = "shop.users.v1.Users"
INVENTORY = "shop.inventory.v1.Inventory"
SOON = 10


class WithToken(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor,
                grpc.StreamStreamClientInterceptor):
    """Sends a token with each call, unless the call says `anonymous`."""

    def __init__(self, token):
        self.token = token

    def _call(self, continuation, details, request):
        metadata = list(details.metadata or [])
        if ("anonymous", "1") in metadata:
            metadata.remove(("anonymous", "1"))
        else:
            metadata.append(("authorization", f"Bearer {self.token}"))
        return continuation(details._replace(metadata=metadata), request)

    intercept_unary_unary = intercept_unary_stream = intercept_stream_stream = _call


class Api:
    """A service as reflection describes it."""

    def __init__(self, channel):
        self.channel = channel
        self.described = ProtoReflectionDescriptorDatabase(channel)
        self.pool = descriptor_pool.DescriptorPool(self.described)

    def method(self, service, name):
        return self.pool.FindServiceByName(service).FindMethodByName(name)

    def call(self, service, name, /, **fields):
        """The method, to be called with the fields; `with_call` and the like are grpcio's."""
        method = self.method(service, name)
        request = message_factory.GetMessageClass(method.input_type)(**fields)
        answer = message_factory.GetMessageClass(method.output_type)
        make = self.channel.unary_stream if method.server_streaming else self.channel.unary_unary
        stub = make(
            f"/{service}/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )
        return lambda **how: stub(request, **{"timeout": SOON, **how})


def code(call):
    """The status with which a call ends."""
    try:
        result = call()
        if hasattr(result, "__next__"):
            for _ in result:
                pass
        return "OK"
    except grpc.RpcError as error:
        return error.code().name


def reason(call):
    """The code for machines in a refusal's details."""
    try:
        call()
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata())
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        assert status.code == error.code().value[0] and status.details[0].Unpack(info)
        return f"{error.code().name} {info.reason}"
    return "OK"


def http(method, url, token, body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    urllib.request.urlopen(request, timeout=SOON).close()


def described(api):
    """What reflection lists, and whether the HTTP rules are in it."""
    options = api.method(USERS, "GetUser").GetOptions().SerializeToString()
    rule = b"/v1/users/{id}" in options
    return {"services": sorted(api.described.get_services()), "rule": rule}


def watched(api, target, token):
    """The names that a watcher of a user sees until the user leaves."""
    names = []
    stream = api.call(USERS, "WatchUser", id="me")()
    for user in stream:
        names.append(user.name)
        url = f"http://{target}/api/v1/users/me"
        if len(names) == 1:
            http("PATCH", url, token, {"name": "Changed"})
        else:
            http("DELETE", url, token)
    return {"names": names, "end": stream.code().name}


def deadline(api, product):
    began = time.monotonic()
    ended = code(lambda: api.call(INVENTORY, "WatchStock", product_id=product)(timeout=0.5))
    took = time.monotonic() - began
    return ended if 0.4 < took < 2 else f"{ended} after {took} s"


def cancelled(api, product):
    stream = api.call(INVENTORY, "WatchStock", product_id=product)()
    first = next(stream)
    threading.Timer(0.1, stream.cancel).start()
    ended = code(lambda: stream)
    return [first.product_id == product, ended]


def health(channel, anonymous):
    stub = health_pb2_grpc.HealthStub(channel)
    ask = health_pb2.HealthCheckRequest
    name = health_pb2.HealthCheckResponse.ServingStatus.Name
    checked = [name(stub.Check(ask(service=s), timeout=SOON).status) for s in ("", USERS)]
    unknown = code(lambda: stub.Check(ask(service="shop.Nobody"), timeout=SOON))
    stream = stub.Watch(ask(), timeout=SOON, metadata=anonymous)
    watch = name(next(stream).status)
    stream.cancel()
    return checked + [unknown, watch]


def calls(target, token, user, other, product):
    anonymous = (("anonymous", "1"),)
    channel = grpc.intercept_channel(grpc.insecure_channel(target), WithToken(token))
    api = Api(channel)
    get = api.call(USERS, "GetUser", id="me")
    me = get()
    forged = (("x-user-id", other), ("x-user-roles", "admin"))
    theirs = api.call(USERS, "GetUser", id=other)
    both = api.call(USERS, "BatchGetUsers", ids=[other, user])()
    listed = list(api.call(INVENTORY, "ListStock")())
    taken = api.call(USERS, "CreateUser", email=me.email, name="Again", password="correct horse")
    nobody = channel.unary_unary(f"/{USERS}/Typo")
    nowhere = channel.unary_unary("/shop.nobody.v1.Nobody/Say")
    return {
        "described": described(api),
        "me": [me.id == user, me.created_at.seconds > 0],
        "both": [found.id == user for found in both.users],
        "stock": api.call(INVENTORY, "GetStock", product_id=product)().available,
        "listed": product in [stock.product_id for stock in listed],
        "theirs": reason(theirs),
        "forged": reason(lambda: theirs(metadata=forged)),
        "forged me": get(metadata=forged).id == user,
        "taken": reason(lambda: taken(metadata=anonymous)),
        "all": code(api.call(USERS, "ListUsers")),
        "no token": code(lambda: get(metadata=anonymous)),
        "no token, forged": code(lambda: get(metadata=anonymous + forged)),
        "gzip": code(lambda: get(compression=grpc.Compression.Gzip)),
        "unknown method": code(lambda: nobody(b"", timeout=SOON)),
        "unknown service": code(lambda: nowhere(b"", timeout=SOON)),
        "deadline": deadline(api, product),
        "cancelled": cancelled(api, product),
        "health": health(channel, anonymous),
        "watched": watched(api, target, token),
    }


def large(target, token, mebibytes):
    """How a message that is too large ends, and how soon after its length was sent."""
    unlimited = [("grpc.max_send_message_length", -1)]
    channel = grpc.insecure_channel(target, options=unlimited)
    stub = channel.unary_unary(f"/{USERS}/GetUser")
    size = int(mebibytes) << 20
    metadata = (("authorization", f"Bearer {token}"),)
    ended = code(lambda: stub(bytes(size), timeout=SOON, metadata=metadata))
    return {"code": ended, "ms": min(milliseconds(target, token, size) for _ in range(5))}


def milliseconds(target, token, size):
    """From the length of a message, of which nothing follows, to the answer's end, frame by frame."""
    host, port = target.split(":")
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":authority", target.encode()),
        (b":path", f"/{USERS}/GetUser".encode()),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
        (b"authorization", f"Bearer {token}".encode()),
    ]
    head = b"".join(b"\0" + text(name) + text(value) for name, value in fields)
    opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, b"")
    with socket.create_connection((host, int(port)), timeout=SOON) as stream:
        stream.sendall(opening + frame(HEADERS, END_HEADERS, 1, head))
        reader = stream.makefile("rb")
        began = time.monotonic()
        stream.sendall(frame(DATA, 0, 1, b"\0" + size.to_bytes(4, "big")))
        kind = None
        while kind != HEADERS:
            length, kind, flags = (int.from_bytes(reader.read(n), "big") for n in (3, 1, 1))
            reader.read(4 + length)
        assert flags & END_STREAM, "an answer that goes on"
        return 1000 * (time.monotonic() - began)


def until(target, product):
    stream = Api(grpc.insecure_channel(target)).call(INVENTORY, "WatchStock", product_id=product)()
    next(stream)
    print("watching", flush=True)
    return code(lambda: stream)


DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload):
    """A frame of HTTP/2."""
    head = len(payload).to_bytes(3, "big") + bytes([kind, flags])
    return head + stream.to_bytes(4, "big") + payload


def text(value):
    """A text of HPACK, as it is; its length has a prefix of seven bits."""
    length = len(value)
    if length < 127:
        return bytes([length]) + value
    length -= 127
    prefix = bytearray([127])
    while length >= 128:
        prefix.append(length % 128 + 128)
        length //= 128
    return bytes(prefix + bytes([length])) + value


if __name__ == "__main__":
    step = {"calls": calls, "large": large, "until": until}[sys.argv[1]]
    print(json.dumps(step(*sys.argv[2:])))
