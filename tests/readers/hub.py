"""A server that speaks the protocol of the HuggingFace hub, with one repository; large files lie on another port."""

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

REPOSITORY = "lab/tiny"
COMMIT = "c731040fcd8d73dceaa04b0a8e6329b345b0f5df"
GOLDEN = Path(__file__).parent.parent / "golden" / "esm2-head16"
FILES = {name: (GOLDEN / name).read_bytes() for name in ("config.json", "model.safetensors")}


def etag(name):
    """What the hub calls a file by: SHA-256 of a large one, git's hash of a small one."""
    content = FILES[name]
    if name.endswith(".safetensors"):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        path = self.path.split("?")[0]
        self.server.hub.requests.append((self.command, path))
        if path == f"/api/models/{REPOSITORY}/revision/main":
            siblings = [{"rfilename": name} for name in FILES]
            return self.send(200, {}, json.dumps({"sha": COMMIT, "siblings": siblings}).encode())
        for name, content in FILES.items():
            if path in (f"/{REPOSITORY}/resolve/{revision}/{name}" for revision in ("main", COMMIT)):
                if not name.endswith(".safetensors"):
                    return self.send(200, {"X-Repo-Commit": COMMIT, "ETag": f'"{etag(name)}"'}, content)
                place = {"Location": f"{self.server.hub.large}/{name}", "X-Linked-Etag": f'"{etag(name)}"'}
                return self.send(302, {**place, "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content))}, b"")
            if path == f"/{name}":
                return self.send(200, {}, content)
        return self.send(404, {"X-Error-Code": "EntryNotFound"}, b"")

    do_GET = do_HEAD = answer

    def send(self, status, headers, body):
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class Hub:
    """Runs until `close`; `requests` are those that came."""

    def __init__(self):
        self.requests = []
        self.servers = [ThreadingHTTPServer(("127.0.0.1", 0), Handler) for _ in range(2)]
        self.endpoint, self.large = (f"http://127.0.0.1:{server.server_address[1]}" for server in self.servers)
        for server in self.servers:
            server.hub = self
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def close(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()
