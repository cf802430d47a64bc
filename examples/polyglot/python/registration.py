"""Being found: registered with PyPI's `py-consul`, kept registered, deregistered at the stop."""

import os
import sys
import threading
from urllib.parse import urlsplit

import consul

LOOK_SECONDS = 2
"""The time between two looks whether the registry still knows us, or two attempts to register."""
REQUEST_SECONDS = 2


class Registration:
    """Keeps one instance registered, on a thread of its own."""

    def __init__(self, platform, name, owner, host, port):
        at = urlsplit(platform)
        self._consul = consul.Consul(
            at.hostname,
            at.port,
            # Never an argument of this process, which everybody could read.
            token=os.environ.get("IEUM_TOKEN"),
            scheme=at.scheme,
            connections_timeout=REQUEST_SECONDS,
        )
        self._stop = threading.Event()
        # Made of name and address: an instance that died and came back replaces itself.
        self._id = f"{name}-{host}-{port}"
        check = consul.Check.http(f"http://{host}:{port}/health", "2s", timeout="1s", deregister="10m")
        self._service = {
            "name": name,
            "service_id": self._id,
            "address": host,
            "port": port,
            "meta": {"owner": owner, "language": "python"},
            "check": check | {"name": f"health of {name}", "status": "passing"},
        }
        self._thread = threading.Thread(target=self._keep, name="registration", daemon=True)
        self._thread.start()

    def _keep(self):
        while not self._stop.is_set():
            try:
                if self._id not in self._consul.agent.services():
                    self._consul.agent.service.register(**self._service)
                    print(f"registered as {self._id}", file=sys.stderr)
            except Exception as error:  # The registry may start later, restart, or answer nonsense.
                print(f"not registered yet: {error}", file=sys.stderr)
            self._stop.wait(LOOK_SECONDS)

    def leave(self):
        """Leaves the registry; if it does not answer, our check will fail there."""
        self._stop.set()
        self._thread.join(REQUEST_SECONDS)
        try:
            self._consul.agent.service.deregister(self._id)
        except Exception as error:
            print(f"not deregistered: {error}", file=sys.stderr)
