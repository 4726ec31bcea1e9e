"""gunicorn for two cores: threads in a few processes, connections kept open between requests."""

import os

bind = f"127.0.0.1:{os.environ['PEER_PORT']}"
worker_class = "gthread"
workers = int(os.environ.get("PEER_WORKERS", "3"))
threads = int(os.environ.get("PEER_THREADS", "4"))
keepalive = 30
preload_app = True
loglevel = "warning"
