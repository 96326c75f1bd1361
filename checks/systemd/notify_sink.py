"""Takes the notifications of the test host, as an endpoint of JSON, into a file."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Final

PORT: Final = 7010
GOT: Final = "/run/notify-sink/got"


class Sink(BaseHTTPRequestHandler):
    """Adds each body to the file, a line each."""

    def do_POST(self) -> None:
        """Take one."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with Path(GOT).open("ab") as file:
            file.write(body + b"\n")
        self.send_response(200)
        self.end_headers()


def main() -> None:
    """Serve until stopped."""
    HTTPServer(("127.0.0.1", PORT), Sink).serve_forever()


if __name__ == "__main__":
    main()
