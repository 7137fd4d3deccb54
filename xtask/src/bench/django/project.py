"""A Django project of one view: a check that does nothing."""

import dataclasses
import secrets

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    INSTALLED_APPS=["health_check"],
    ROOT_URLCONF=__name__,
    SECRET_KEY=secrets.token_hex(),
)
application = get_wsgi_application()

# These imports need the settings.
from health_check.base import HealthCheck
from health_check.views import HealthCheckView


@dataclasses.dataclass
class Trivial(HealthCheck):
    async def run(self):
        pass


urlpatterns = [path("ht/", HealthCheckView.as_view(checks=[Trivial]))]
