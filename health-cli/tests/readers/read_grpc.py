"""Prints what grpcio's client reads of a health service, as JSON. The argument is its address."""

import json
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

NAMES = health_pb2.HealthCheckResponse.ServingStatus.Name
stub = health_pb2_grpc.HealthStub(grpc.insecure_channel(sys.argv[1]))


def check(service):
    try:
        return NAMES(stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=5).status)
    except grpc.RpcError as error:
        return error.code().name


def watch(service):
    stream = stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=5)
    first = NAMES(next(iter(stream)).status)
    stream.cancel()
    return first


found = {
    "check": {name: check(name) for name in ["", "live", "ready", "startup", "nothing"]},
    "watch": {name: watch(name) for name in ["", "nothing"]},
}
if hasattr(health_pb2, "HealthListRequest"):
    answer = stub.List(health_pb2.HealthListRequest(), timeout=5)
    found["list"] = {name: NAMES(status.status) for name, status in answer.statuses.items()}
print(json.dumps(found))
