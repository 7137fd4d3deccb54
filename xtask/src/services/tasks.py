"""The worker that the tests of the Celery checks talk to."""

import os
import time

import kombu
from celery import Celery


class QuickConnection(kombu.Connection):
    """Tries to reach a missing broker every half second; Celery's own pause grows to 30 seconds."""

    def ensure_connection(self, errback=None, max_retries=None, **options):
        pause = {"interval_start": 0.5, "interval_step": 0, "interval_max": 0.5}
        return super().ensure_connection(errback, max_retries, **{**options, **pause})


app = Celery(
    "health_check",
    broker=os.environ["CELERY_BROKER_URL"],
    backend=os.environ["CELERY_RESULT_BACKEND"],
)
app.amqp.Connection = QuickConnection
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    redis_backend_health_check_interval=5,
)
if app.conf.broker_url.startswith("redis:"):
    prefix = {"global_keyprefix": os.environ["CELERY_PREFIX"]} if "CELERY_PREFIX" in os.environ else {}
    app.conf.broker_transport_options = {"health_check_interval": 5, **prefix}
    app.conf.result_backend_transport_options = prefix
app.conf.control_exchange = os.environ.get("CELERY_CONTROL", "celery")


@app.task(name="health_check.contrib.celery.tasks.add", ignore_result=False)
def add(x, y):
    return x + y


@app.task(name="tests.wrong")
def wrong(x, y):
    return x * y


@app.task(name="tests.fails")
def fails(x, y):
    raise ValueError("for the test")


@app.task(name="tests.busy")
def busy(x, y):
    time.sleep(6)
    return x + y


@app.task(name="tests.slow")
def slow(x, y):
    time.sleep(1)
    return x + y
