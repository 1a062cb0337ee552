"""A server on this machine that answers as the hub does when huggingface_hub looks files up and fetches them."""

import hashlib
import http.server
import json
import threading
from urllib.parse import unquote


class Hub:
    """repositories: {OWNER/REPO: {revision: {file name: bytes}}}; asked: "METHOD path" of every request, in order."""

    def __init__(self):
        self.repositories, self.gated, self.asked, self.down = {}, set(), [], False
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                hub.answer(self)

            do_HEAD = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, repo, files, revision="main"):
        """Put files there; returns the commit that revision stands for from now on."""
        commit = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.repositories.setdefault(repo, {}).update({revision: (commit, files), commit: (commit, files)})
        return commit

    def fetched(self):
        """The names of files whose content was sent, in order; forgets what was asked."""
        names = [path.rpartition("/")[2] for method, path in self.asked if method == "GET" and "/resolve/" in path]
        self.asked.clear()
        return names

    def answer(self, request):
        path = unquote(request.path.partition("?")[0])
        self.asked.append((request.command, path))
        if self.down:
            return request.close_connection or request.connection.close()
        parts = path.strip("/").split("/")
        listing = parts[:2] == ["api", "models"]
        repo = "/".join(parts[2:4] if listing else parts[:2])
        revision = "/".join(parts[5:] if listing else parts[3:4])
        if repo in self.gated:
            return self.send(request, 403, code="GatedRepo")
        if repo not in self.repositories:
            return self.send(request, 401, code="RepoNotFound")
        if revision not in self.repositories[repo]:
            return self.send(request, 404, code="RevisionNotFound")
        commit, files = self.repositories[repo][revision]
        if listing:
            about = {"id": repo, "sha": commit, "siblings": [{"rfilename": name} for name in files]}
            return self.send(request, 200, json.dumps(about).encode(), commit)
        name = "/".join(parts[4:])
        if name not in files:
            return self.send(request, 404, commit=commit, code="EntryNotFound")
        self.send(request, 200, files[name], commit)

    @staticmethod
    def send(request, status, content=b"", commit=None, code=None):
        request.send_response(status)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        for header, value in (("X-Repo-Commit", commit), ("X-Error-Code", code)):
            if value:
                request.send_header(header, value)
        request.end_headers()
        if request.command == "GET":
            request.wfile.write(content)
