"""Serves eight requests at a time, on a free port that it prints."""

bind = "127.0.0.1:0"
worker_class = "gthread"
workers = 2
threads = 4


def when_ready(server):
    host, port = server.LISTENERS[0].sock.getsockname()
    print(f"{host}:{port}", flush=True)
