"""A TCP proxy on loopback that can go away or fall silent, so that a real server can be lost and found again."""

from __future__ import annotations

import select
import socket
import threading
from typing import Literal


class Proxy:
    """Forwards to `host:port`. `mode` may change at any time; `requests` counts the packets that clients sent."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._listener: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()
        self._silent = False
        self.requests = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.set("forward")

    def set(self, mode: Literal["forward", "refuse", "silent"]) -> None:
        """`refuse` cuts all connections and takes no new ones; `silent` takes requests and never answers."""
        self._silent = mode == "silent"
        if mode == "refuse":
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            with self._lock:
                for pair in self._pairs:
                    for end in pair:
                        end.close()
                self._pairs.clear()
        elif self._listener is None:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            listener.listen(50)
            self._listener = listener
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def close(self) -> None:
        self.set("refuse")

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            with self._lock:
                self._pairs.append((client, server))
            threading.Thread(target=self._forward, args=(client, server), daemon=True).start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        try:
            while True:
                ready, _, _ = select.select([client, server], [], [], 0.1)
                for source in ready if not self._silent else ():
                    data = source.recv(65536)
                    if not data:
                        raise OSError
                    if source is client:
                        self.requests += 1
                    (server if source is client else client).sendall(data)
                if self._silent:
                    threading.Event().wait(0.05)
        except (OSError, ValueError):
            for end in (client, server):
                end.close()
