"""Settings of the Django peer: what an API without pages and cookies needs, as for production."""

import os

from benchmarks.peers.market import AUDIENCE, ISSUER, PAGE_DEFAULT, SECRET

SECRET_KEY = SECRET
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "benchmarks.peers.drf.urls"
WSGI_APPLICATION = "benchmarks.peers.drf.wsgi.application"
USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "rest_framework",
    "benchmarks.peers.drf.apps.MarketConfig",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("PEER_DATABASE_HOST", ""),
        "PORT": os.environ.get("PEER_DATABASE_PORT", ""),
        "NAME": os.environ.get("PEER_DATABASE_NAME", ""),
        "USER": os.environ.get("PEER_DATABASE_USER", ""),
        "PASSWORD": os.environ.get("PEER_DATABASE_PASSWORD", ""),
        "CONN_MAX_AGE": None,  # each thread keeps its connection
        "OPTIONS": {"server_side_binding": True, "prepare_threshold": 5},  # PostgreSQL plans a statement once
    }
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework_simplejwt.authentication.JWTStatelessUserAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DATETIME_FORMAT": None,  # the renderer's encoder writes them; the fields would convert each to a time zone before
    "PAGE_SIZE": PAGE_DEFAULT,
}

SIMPLE_JWT = {
    "ALGORITHM": "HS256",
    "SIGNING_KEY": SECRET,
    "ISSUER": ISSUER,
    "AUDIENCE": AUDIENCE,
    "USER_ID_CLAIM": "sub",
    "TOKEN_TYPE_CLAIM": None,
}
