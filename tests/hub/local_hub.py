"""A hub on this machine: as much of the Hugging Face hub's HTTP as its client speaks for repositories of models.

Commits are whole trees in memory; files that are no text are uploaded and downloaded as LFS objects are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NoReturn

import yaml
from flask import Flask, Response, abort, jsonify, request
from werkzeug.routing import BaseConverter
from werkzeug.serving import make_server

OWNER_TOKEN = "hf_OwnersTokenOfTheTests"
"""May do everything."""
TEXTS = (".json", ".md", ".yaml", ".html")


@dataclass
class Repository:
    """What the hub knows of one."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    def commit(self, branch: str, changes: dict[str, bytes], message: str) -> str:
        """A new commit of a branch, and its hash."""
        files = {**self.commits.get(self.branches.get(branch, ""), {}), **changes}
        names = [(name, hashlib.sha256(data).hexdigest()) for name, data in sorted(files.items())]
        sha = hashlib.sha1(json.dumps([names, self.branches.get(branch), message]).encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        self.messages.append(message)
        return sha

    def meant(self, revision: str) -> str:
        """The commit that a branch or a commit means."""
        sha = self.branches.get(revision, revision)
        if sha not in self.commits:
            _refuse(404, "RevisionNotFound")
        return sha


class LocalHub:
    """The hub: its repositories, what it was asked, and how it is reached."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.stalled: str | None = None  # a file whose download stops half-way until it is released
        self.stalling, self.release = threading.Event(), threading.Event()
        self.url = ""

    def files(self, repository: str, branch: str = "main") -> dict[str, bytes]:
        """What a branch holds."""
        repo = self.repositories[repository]
        return repo.commits[repo.branches[branch]]

    def note(self) -> None:
        self.asked.append(f"{request.method} {request.path}")

    def readable(self, name: str) -> Repository:
        repo = self.repositories.get(name)
        if repo is None or (repo.private and not _owner()):
            _refuse(404 if _owner() else 401, "RepoNotFound")
        if repo.gated and not _owner():
            _refuse(403, "GatedRepo")
        return repo

    def writable(self, name: str) -> Repository:
        if not _owner():
            _refuse(403, "Forbidden")
        return self.readable(name)

    # --- reading

    def info(self, name: str, revision: str = "main") -> Response:
        repo = self.readable(name)
        return jsonify({"id": name, "sha": repo.meant(revision), "private": repo.private})

    def tree(self, name: str, revision: str) -> Response:
        repo = self.readable(name)
        return jsonify([_entry(*file) for file in repo.commits[repo.meant(revision)].items()])

    def paths_info(self, name: str, revision: str) -> Response:
        repo = self.readable(name)
        files = repo.commits[repo.meant(revision)]
        return jsonify([_entry(path, files[path]) for path in request.form.getlist("paths") if path in files])

    def resolve(self, name: str, revision: str, path: str) -> Response:
        repo = self.readable(name)
        sha = repo.meant(revision)
        if path not in repo.commits[sha]:
            _refuse(404, "EntryNotFound")
        data = repo.commits[sha][path]
        described = _entry(path, data)
        etag = described.get("lfs", {}).get("oid") or described["oid"]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{etag}"', "Content-Length": str(len(data))}
        if request.method == "HEAD":
            return Response(headers=headers)
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        headers["Content-Length"] = str(len(data) - start)
        return Response(self.parts(path, data[start:]), 206 if start else 200, headers)

    def parts(self, path: str, data: bytes) -> Iterator[bytes]:
        half = len(data) // 2
        yield data[:half]
        if path == self.stalled:
            self.stalling.set()
            self.release.wait(60)
        yield data[half:]

    # --- writing

    def create(self) -> tuple[Response, int]:
        if not _owner():
            _refuse(403, "Forbidden")
        asked = request.get_json()
        name = f"{asked['organization']}/{asked['name']}"
        if name in self.repositories:
            return jsonify({"error": "You already created this model repo", "url": f"{self.url}/{name}"}), 409
        private = asked.get("visibility") == "private" or bool(asked.get("private"))
        repo = self.repositories[name] = Repository(private=private)
        repo.commit("main", {".gitattributes": b""}, "initial commit")
        return jsonify({"url": f"{self.url}/{name}"}), 200

    def make_branch(self, name: str, branch: str) -> tuple[Response, int]:
        repo = self.writable(name)
        if branch in repo.branches:
            return jsonify({"error": "Reference already exists"}), 409
        repo.branches[branch] = repo.branches["main"]
        return jsonify({}), 200

    def validate(self) -> tuple[Response, int]:
        text = request.get_json()["content"]
        if not text.startswith("---\n"):
            return jsonify({"errors": [], "warnings": [{"message": "empty or missing yaml metadata"}]}), 200
        data = yaml.safe_load(text.removeprefix("---\n").split("\n---\n")[0])
        errors = [] if isinstance(data.get("tags", []), list) else [{"message": '"tags" must be an array'}]
        return jsonify({"errors": errors, "warnings": []}), 400 if errors else 200

    def preupload(self, name: str, branch: str) -> Response:
        self.writable(name).meant(branch)
        paths = [file["path"] for file in request.get_json()["files"]]
        modes = [("regular" if path.endswith(TEXTS) else "lfs", path) for path in paths]
        return jsonify({"files": [{"path": p, "uploadMode": m, "shouldIgnore": False, "oid": None} for m, p in modes]})

    def batch(self, name: str) -> Response:
        self.writable(name)
        objects = [
            {**each, "actions": {"upload": {"href": f"{self.url}/objects/{each['oid']}"}}}
            for each in request.get_json(force=True)["objects"]
        ]
        return jsonify({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> Response:
        data = request.get_data()
        if hashlib.sha256(data).hexdigest() != oid:
            abort(400)
        self.objects[oid] = data
        return Response()

    def commit(self, name: str, branch: str) -> Response:
        repo = self.writable(name)
        repo.meant(branch)
        changes, message = {}, ""
        for line in request.get_data().splitlines():
            said = json.loads(line)
            match said["key"], said["value"]:
                case "header", value:
                    message = value["summary"]
                case "file", value:
                    changes[value["path"]] = base64.b64decode(value["content"])
                case "lfsFile", value:
                    changes[value["path"]] = self.objects[value["oid"]]
        sha = repo.commit(branch, changes, message)
        return jsonify({"commitUrl": f"{self.url}/{name}/commit/{sha}", "commitOid": sha})


def _refuse(status: int, code: str) -> NoReturn:
    abort(Response(json.dumps({"error": code}), status, {"X-Error-Code": code, "Content-Type": "application/json"}))


def _owner() -> bool:
    return request.headers.get("Authorization") == f"Bearer {OWNER_TOKEN}"


def _entry(path: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    found = {"type": "file", "path": path, "size": len(data), "oid": blob}
    if not path.endswith(TEXTS):
        found["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return found


@contextmanager
def running() -> Iterator[LocalHub]:
    """A hub that listens on a free port."""
    hub = LocalHub()
    server = make_server("127.0.0.1", 0, _application(hub), threaded=True)
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        hub.release.set()
        server.shutdown()
        thread.join()


def _application(hub: LocalHub) -> Flask:
    """Its addresses; a name has two parts, a revision as many as it likes."""
    app = Flask(__name__)
    app.before_request(hub.note)
    name, model = "/<two:name>", "/api/models/<two:name>"
    app.url_map.converters["two"] = _TwoParts
    for method, rule, answer in (
        ("GET", model, hub.info),
        ("GET", f"{model}/revision/<path:revision>", hub.info),
        ("GET", f"{model}/tree/<path:revision>", hub.tree),
        ("POST", f"{model}/paths-info/<path:revision>", hub.paths_info),
        ("GET", f"{name}/resolve/<revision>/<path:path>", hub.resolve),
        ("POST", "/api/repos/create", hub.create),
        ("POST", f"{model}/branch/<path:branch>", hub.make_branch),
        ("POST", "/api/validate-yaml", hub.validate),
        ("POST", f"{model}/preupload/<path:branch>", hub.preupload),
        ("POST", f"{name}.git/info/lfs/objects/batch", hub.batch),
        ("PUT", "/objects/<oid>", hub.upload),
        ("POST", f"{model}/commit/<path:branch>", hub.commit),
    ):
        app.add_url_rule(rule, f"{method} {rule}", answer, methods=[method])
    return app


class _TwoParts(BaseConverter):
    regex = "[^/]+/[^/]+?"
    part_isolating = False
