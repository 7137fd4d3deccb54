"""Watches services with grpcio's client. Prints a line for each status: the service, and the status. The arguments are the address and the names."""

import sys
import threading

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

NAMES = health_pb2.HealthCheckResponse.ServingStatus.Name
channel = grpc.insecure_channel(sys.argv[1])
stub = health_pb2_grpc.HealthStub(channel)


def watch(service):
    try:
        for answer in stub.Watch(health_pb2.HealthCheckRequest(service=service), timeout=60):
            print(f"{service or 'whole'} {NAMES(answer.status)}", flush=True)
        print(f"{service or 'whole'} end", flush=True)
    except grpc.RpcError as error:
        print(f"{service or 'whole'} {error.code().name}", flush=True)


threads = [threading.Thread(target=watch, args=[service]) for service in sys.argv[2:]]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
