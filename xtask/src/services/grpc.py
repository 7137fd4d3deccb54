"""A gRPC server for tests, with the health service of grpcio. The service `guarded` requires a token. Some services fail with a status,
`slow` answers after the deadline of its caller, and `hurried` requires a deadline of a minute at most."""

import hmac
import os
import time
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

STATUS = health_pb2.HealthCheckResponse
FAILURES = {
    "missing": grpc.StatusCode.UNIMPLEMENTED,
    "away": grpc.StatusCode.UNAVAILABLE,
    "late": grpc.StatusCode.DEADLINE_EXCEEDED,
    "private": grpc.StatusCode.PERMISSION_DENIED,
    "full": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "broken": grpc.StatusCode.INTERNAL,
}
TOKEN = "Bearer " + os.environ["GRPC_PASSWORD"]


class Servicer(health.HealthServicer):
    def Check(self, request, context):
        metadata = dict(context.invocation_metadata())
        if request.service == "guarded" and not hmac.compare_digest(metadata.get("authorization", ""), TOKEN):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "a token is required")
        if request.service in FAILURES:
            context.abort(FAILURES[request.service], "by its name")
        if request.service == "slow":
            time.sleep(min(context.time_remaining(), 60) + 1)
        if request.service == "hurried" and context.time_remaining() > 60:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "a deadline is required")
        return super().Check(request, context)


servicer = Servicer()
for name in ["", "guarded", "hurried"]:
    servicer.set(name, STATUS.SERVING)
servicer.set("down", STATUS.NOT_SERVING)
servicer.set("unsure", STATUS.UNKNOWN)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
server.add_insecure_port("127.0.0.1:" + os.environ["GRPC_PORT"])
server.start()
server.wait_for_termination()
