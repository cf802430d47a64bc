"""A receiver of OTLP over gRPC and HTTP, on the code that OpenTelemetry generates from its protocol.

It prints where it listens, then answers `GET /received` on the HTTP port with everything it was sent,
as the JSON that protobuf itself makes. The first request of each transport is answered with "not now",
as the protocol allows at any time: whoever exports has to send it again.
"""

import base64
import gzip
import json
import threading
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from google.protobuf.json_format import MessageToDict, Parse
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2_grpc as logs_grpc
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2_grpc as metrics_grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as traces
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as traces_grpc

KINDS = {
    "/v1/traces": (traces.ExportTraceServiceRequest, traces.ExportTraceServiceResponse),
    "/v1/metrics": (metrics.ExportMetricsServiceRequest, metrics.ExportMetricsServiceResponse),
    "/v1/logs": (logs.ExportLogsServiceRequest, logs.ExportLogsServiceResponse),
}

lock = threading.Lock()
received = []
refused = set()


def is_first(transport):
    with lock:
        first = transport not in refused
        refused.add(transport)
        return first


def keep(path, transport, key, message):
    body = each_id(MessageToDict(message), lambda text: base64.b64decode(text).hex())
    with lock:
        received.append({"path": path, "transport": transport, "key": key, "body": body})


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, media_type, body, headers=()):
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        with lock:
            body = json.dumps(received).encode()
        self.answer(200, "application/json", body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if is_first("http"):
            return self.answer(503, "text/plain", b"not now", [("retry-after", "0")])
        if self.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        request, response = KINDS[self.path]
        media_type = self.headers["content-type"]
        if media_type == "application/json":
            to_base64 = lambda text: base64.b64encode(bytes.fromhex(text)).decode()
            message = Parse(json.dumps(each_id(json.loads(body), to_base64)), request())
            answer = b"{}"
        else:
            message = request.FromString(body)
            answer = response().SerializeToString()
        keep(self.path, media_type, self.headers.get("api-key"), message)
        self.answer(200, media_type, answer)


def each_id(value, change):
    """OTLP's JSON has ids in hex, where protobuf's own has base64."""
    if isinstance(value, list):
        return [each_id(inner, change) for inner in value]
    if not isinstance(value, dict):
        return value
    ids = ("traceId", "spanId", "parentSpanId")
    return {
        name: change(inner) if name in ids else each_id(inner, change)
        for name, inner in value.items()
    }


def servicer(base, path, response):
    class Servicer(base):
        def Export(self, request, context):
            if is_first("grpc"):
                context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
            key = dict(context.invocation_metadata()).get("api-key")
            keep(path, "grpc", key, request)
            return response()

    return Servicer()


def main():
    server = grpc.server(futures.ThreadPoolExecutor(4))
    for base, add, path in [
        (traces_grpc.TraceServiceServicer, traces_grpc.add_TraceServiceServicer_to_server, "/v1/traces"),
        (metrics_grpc.MetricsServiceServicer, metrics_grpc.add_MetricsServiceServicer_to_server, "/v1/metrics"),
        (logs_grpc.LogsServiceServicer, logs_grpc.add_LogsServiceServicer_to_server, "/v1/logs"),
    ]:
        add(servicer(base, path, KINDS[path][1]), server)
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(f"http 127.0.0.1:{http.server_address[1]}", flush=True)
    print(f"grpc 127.0.0.1:{grpc_port}", flush=True)
    http.serve_forever()


main()
