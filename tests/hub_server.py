"""A small hub on this machine: the few addresses that fetching asks, and who may have what."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit


@dataclass
class Repository:
    """Files of one repository at one commit; `token`: who may read it, None for everybody."""

    files: dict[str, bytes]
    kind: str = "model"
    token: str | None = None
    commit: str = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """A running hub."""

    url: str
    asked: list[str] = field(default_factory=list)  # paths, in order
    tokens: set[str] = field(default_factory=set)  # that were shown to it


@contextmanager
def serve(repositories: dict[str, Repository]) -> Iterator[Hub]:
    """A hub with these repositories, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = unquote(urlsplit(self.path).path).strip("/")
            hub.asked.append(path)
            shown = self.headers.get("Authorization", "").removeprefix("Bearer ")
            hub.tokens |= {shown} - {""}
            parts = path.split("/")
            if parts[0] == "api":
                kind, name, rest = parts[1].removesuffix("s"), "/".join(parts[2:4]), parts[4:]
            else:
                kind = "dataset" if parts[0] == "datasets" else "model"
                parts = parts[kind == "dataset" :]
                name, rest = "/".join(parts[:2]), parts[2:]
            found = repositories.get(name)
            if found is None or found.kind != kind:
                return self.answer(404, b"", {"X-Error-Code": "RepoNotFound"})
            if found.token not in (None, shown):
                return self.answer(401 if not shown else 403, b"", {"X-Error-Code": "GatedRepo"})
            if len(rest) > 1 and rest[1] not in ("main", found.commit):
                return self.answer(404, b"", {"X-Error-Code": "RevisionNotFound"})
            commit = {"X-Repo-Commit": found.commit}
            if parts[0] == "api":
                return self.answer(200, json.dumps(described(found, rest)).encode(), commit)
            content = found.files.get("/".join(rest[2:]))
            if content is None:
                return self.answer(404, b"", {"X-Error-Code": "EntryNotFound", **commit})
            self.answer(200, content, {"ETag": f'"{digest(content)}"', **commit})

        def answer(self, status, content, headers):
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

    def described(found, rest):
        if rest[:1] == ["tree"]:
            return [
                {"type": "file", "path": name, "size": len(content), "oid": digest(content)}
                for name, content in found.files.items()
            ]
        siblings = [{"rfilename": name} for name in found.files]
        return {"id": "someone/it", "sha": found.commit, "siblings": siblings}

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def digest(content: bytes) -> str:
    """The name that the hub gives to a content."""
    return hashlib.sha1(content).hexdigest()
