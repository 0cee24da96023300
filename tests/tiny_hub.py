"""A hub of one machine: those endpoints of the Hugging Face hub that a download uses."""

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/revision/([^/]+))?")
_TREE = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/tree/([^/?]+).*")
_FILE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub(ThreadingHTTPServer):
    """Serves {id: folder}, all at COMMIT, also named main; `gated` ids want `token`."""

    def __init__(self, folders: dict[str, Path], gated: tuple[str, ...] = (), token: str = ""):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.folders, self.gated, self.token = folders, gated, token
        self.asked: list[str] = []  # paths of files that were downloaded

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextlib.contextmanager
def serve(folders: dict[str, Path], **settings) -> Iterator[Hub]:
    """A hub that runs meanwhile."""
    hub = Hub(folders, **settings)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *arguments) -> None:
        pass

    def do_HEAD(self) -> None:  # noqa: N802
        self.do_GET()

    def do_GET(self) -> None:  # noqa: N802
        tree, api, file = (form.fullmatch(self.path.split("?")[0]) for form in (_TREE, _API, _FILE))
        found = tree or api or file
        if not found or found[2] not in self.server.folders:
            self._refuse(404, "RepoNotFound")
        elif found[3] not in (None, "main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        elif tree:
            self._send(json.dumps(self._entries(found[2])).encode())
        elif api:
            siblings = [{"rfilename": entry["path"]} for entry in self._entries(found[2])]
            gated = "manual" if found[2] in self.server.gated else False
            info = {"id": found[2], "sha": COMMIT, "siblings": siblings, "gated": gated}
            self._send(json.dumps({**info, "private": False}).encode())
        elif found[2] in self.server.gated and not self._allowed():
            self._refuse(403 if self.headers.get("Authorization") else 401, "GatedRepo")
        elif not (self.server.folders[found[2]] / found[4]).is_file():
            self._refuse(404, "EntryNotFound")
        else:
            if self.command == "GET":
                self.server.asked.append(found[4])
            self._send((self.server.folders[found[2]] / found[4]).read_bytes())

    def _allowed(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.server.token}"

    def _entries(self, name: str) -> list[dict]:
        root = self.server.folders[name]
        return [
            {
                "type": "file",
                "path": str(path.relative_to(root)),
                "size": path.stat().st_size,
                "oid": hashlib.sha1(path.read_bytes()).hexdigest(),
            }
            for path in sorted(root.rglob("*"))
            if path.is_file()
        ]

    def _refuse(self, code: int, why: str) -> None:
        self._send(b"{}", code, {"X-Error-Code": why, "X-Error-Message": why})

    def _send(self, body: bytes, code: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        every = {
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            "ETag": f'"{hashlib.sha256(body).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
            **(headers or {}),
        }
        for key, value in every.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
