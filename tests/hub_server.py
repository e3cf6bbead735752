"""A local stand-in for the Hugging Face Hub: one model at one commit, over the routes that huggingface_hub asks."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

MODEL, COMMIT = "someone/small-encoder", "0123456789abcdef0123456789abcdef01234567"


@dataclass
class HubServer:
    """Where the stand-in answers, and the files of the model that were downloaded from it."""

    url: str
    downloads: list[str] = field(default_factory=list)

    def environment(self, cache: Path) -> dict[str, str]:
        """Return the variables by which huggingface_hub asks this server; `cache` is its folder of downloads."""
        return {"HF_ENDPOINT": self.url, "HF_HOME": str(cache), "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}


@contextmanager
def running_hub(model: Path) -> Iterator[HubServer]:
    """Serve the files of a folder as the model `MODEL` at `COMMIT` until the block ends."""
    files = {path.name: path.read_bytes() for path in sorted(model.iterdir())}
    tree = [
        {"type": "file", "path": name, "size": len(content), "oid": sha1(content, usedforsecurity=False).hexdigest()}
        for name, content in files.items()
    ]

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            name = path.removeprefix(f"/{MODEL}/resolve/{COMMIT}/")
            if path == f"/api/models/{MODEL}/tree/{COMMIT}":
                content, etag = json.dumps(tree).encode(), "tree"
            elif name in files:
                content, etag = files[name], sha256(files[name]).hexdigest()
                if with_body:
                    hub.downloads.append(name)
            else:
                self.send_response(404)
                self.send_header("X-Error-Code", "RepoNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{etag}"')
            self.end_headers()
            if with_body:
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named by the base class
            pass

    with serving(Handler) as hub:
        yield hub


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[HubServer]:
    """Answer by a handler until the block ends."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield HubServer(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)
