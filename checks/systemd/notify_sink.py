"""Takes the notifications of the test host: an endpoint of JSON, and a push service.

Each keeps what it got in a file, the second the newest body. The host trusts the
certificate of the second.
"""

import ssl
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

PORT: Final = 7010
GOT: Final = "/run/notify-sink/got"
PUSH_PORT: Final = 7011
PUSHED: Final = "/run/notify-sink/pushed"
CERT: Final = "/etc/hyperhive/push.pem"
KEY: Final = "/etc/hyperhive/push.key"


class Sink(BaseHTTPRequestHandler):
    """Adds each body to the file, a line each."""

    def do_POST(self) -> None:
        """Take one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with Path(GOT).open("ab") as file:
            file.write(body + b"\n")
        self.send_response(200)
        self.end_headers()


class PushSink(BaseHTTPRequestHandler):
    """Keeps the newest body."""

    def do_POST(self) -> None:
        """Take one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        fresh = Path(f"{PUSHED}.new")
        fresh.write_bytes(body)
        fresh.replace(PUSHED)
        self.send_response(201)
        self.end_headers()


def main() -> None:
    """Serve until stopped."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERT, KEY)
    pushes = HTTPServer(("127.0.0.1", PUSH_PORT), PushSink)
    pushes.socket = context.wrap_socket(pushes.socket, server_side=True)
    threading.Thread(target=pushes.serve_forever, daemon=True).start()
    HTTPServer(("127.0.0.1", PORT), Sink).serve_forever()


if __name__ == "__main__":
    main()
