"""Serves the health service of grpcio with TLS. Prints its address. The arguments are the files of the certificate and of its key."""

import sys
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

servicer = health.HealthServicer()
servicer.set("", health_pb2.HealthCheckResponse.SERVING)
servicer.set("down", health_pb2.HealthCheckResponse.NOT_SERVING)
servicer.set("unsure", health_pb2.HealthCheckResponse.UNKNOWN)
server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
chain, key = [open(path, "rb").read() for path in sys.argv[1:3]]
port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)]))
server.start()
print(f"127.0.0.1:{port}", flush=True)
server.wait_for_termination()
