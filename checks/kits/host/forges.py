"""Deliveries as GitHub, Forgejo and GitLab send them, in the shapes they document."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

SECRET: Final = "It's a Secret to Everybody"
ID: Final = "72d3162e-cc78-11e3-81ab-4c9367dc0958"


def signature(body: bytes, secret: str = SECRET) -> str:
    """Return the HMAC that a forge sends, in hex."""
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


@dataclass(frozen=True)
class Sent:
    """A delivery: headers as hive-web passes them on, and the raw body."""

    kind: str
    headers: Mapping[str, str]
    body: bytes


def _sent(kind: str, payload: Mapping[str, Any], **headers: str) -> Sent:
    body = json.dumps(payload).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Sent(kind, {"content-type": "application/json", **named}, body)


def github(event: str, payload: Mapping[str, Any], delivery: str = ID) -> Sent:
    """Return what GitHub sends."""
    sent = _sent("github", payload, x_github_event=event, x_github_delivery=delivery)
    signed = f"sha256={signature(sent.body)}"
    return Sent("github", {**sent.headers, "x-hub-signature-256": signed}, sent.body)


def forgejo(event: str, payload: Mapping[str, Any], delivery: str = ID) -> Sent:
    """Return what Forgejo sends; it has Gitea's and GitHub's headers, too."""
    both = {f"x_{who}_event": event for who in ("forgejo", "gitea", "github")}
    ids = {f"x_{who}_delivery": delivery for who in ("forgejo", "gitea", "github")}
    sent = _sent("forgejo", payload, **both, **ids)
    signed = signature(sent.body)
    more = {
        "x-forgejo-signature": signed,
        "x-gitea-signature": signed,
        "x-hub-signature-256": f"sha256={signed}",
    }
    return Sent("forgejo", {**sent.headers, **more}, sent.body)


def gitlab(event: str, payload: Mapping[str, Any], delivery: str = ID) -> Sent:
    """Return what GitLab sends: the secret itself, and no signature."""
    return _sent(
        "gitlab",
        payload,
        x_gitlab_event=event,
        x_gitlab_token=SECRET,
        x_gitlab_event_uuid="13792a34-cac6-4fda-95a8-c58e00a3954e",
        idempotency_key=delivery,
    )


def generic(event: str, payload: Mapping[str, Any], delivery: str = ID) -> Sent:
    """Return what a program of one's own sends."""
    sent = _sent("generic", payload, x_hook_event=event, x_hook_delivery=delivery)
    signed = f"sha256={signature(sent.body)}"
    return Sent("generic", {**sent.headers, "x-hook-signature": signed}, sent.body)


_REPOSITORY: Final = {
    "id": 35129377,
    "name": "public-repo",
    "full_name": "baxterthehacker/public-repo",
    "private": False,
    "html_url": "https://github.com/baxterthehacker/public-repo",
    "default_branch": "main",
}
_SENDER: Final = {"login": "baxterthehacker", "id": 6752317, "type": "User"}
PULL_REQUEST: Final = {
    "action": "opened",
    "number": 1,
    "pull_request": {
        "html_url": "https://github.com/baxterthehacker/public-repo/pull/1",
        "number": 1,
        "state": "open",
        "title": "Update the README with new information",
        "body": "This is a pretty simple change.",
        "user": _SENDER,
        "head": {"ref": "changes", "sha": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c"},
        "base": {"ref": "main", "sha": "9049f1265b7d61be4a8904a9a27120d2064dab3b"},
    },
    "repository": _REPOSITORY,
    "sender": _SENDER,
}
ISSUE_COMMENT: Final = {
    "action": "created",
    "issue": {
        "html_url": "https://github.com/baxterthehacker/public-repo/issues/2",
        "number": 2,
        "title": "Spelling error in the README file",
    },
    "comment": {
        "html_url": (
            "https://github.com/baxterthehacker/public-repo/issues/2"
            "#issuecomment-99262140"
        ),
        "body": "You are totally right! I'll get this fixed right away.",
        "user": _SENDER,
    },
    "repository": _REPOSITORY,
    "sender": _SENDER,
}
PUSH: Final = {
    "ref": "refs/heads/main",
    "before": "9049f1265b7d61be4a8904a9a27120d2064dab3b",
    "after": "0d1a26e67d8f5eaf1f6ba5c57fc3c7d91ac0fd1c",
    "compare": "https://github.com/baxterthehacker/public-repo/compare/9049...0d1a",
    "commits": [{"id": "0d1a26e67d8f", "message": "Update README.md"}],
    "head_commit": {
        "id": "0d1a26e67d8f",
        "message": "Update README.md\n\nWith more words.",
        "url": "https://github.com/baxterthehacker/public-repo/commit/0d1a26e67d8f",
    },
    "repository": _REPOSITORY,
    "pusher": {"name": "baxterthehacker", "email": "b@example.org"},
    "sender": _SENDER,
}
PING: Final = {"zen": "Design for failure.", "hook_id": 1, "repository": _REPOSITORY}
FORGEJO_PUSH: Final = {
    "ref": "refs/heads/develop",
    "before": "28e1879d029cb852e4844d9c718537df08844e03",
    "after": "bffeb74224043ba2feb48d137756c8a9331c449a",
    "compare_url": "https://forge.example/gitea/webhooks/compare/28e1...bffe",
    "commits": [
        {
            "id": "bffeb74224043ba2feb48d137756c8a9331c449a",
            "message": "Webhooks Yay!",
            "url": "https://forge.example/gitea/webhooks/commit/bffeb742",
        }
    ],
    "head_commit": {"id": "bffeb742", "message": "Webhooks Yay!"},
    "repository": {"id": 140, "name": "webhooks", "full_name": "gitea/webhooks"},
    "pusher": {"id": 1, "login": "gitea", "username": "gitea"},
    "sender": {"id": 1, "login": "gitea", "username": "gitea"},
}
MERGE_REQUEST: Final = {
    "object_kind": "merge_request",
    "event_type": "merge_request",
    "user": {"id": 1, "name": "Administrator", "username": "root"},
    "project": {
        "id": 1,
        "name": "Gitlab Test",
        "web_url": "https://gitlab.example/gitlabhq/gitlab-test",
        "path_with_namespace": "gitlabhq/gitlab-test",
    },
    "object_attributes": {
        "id": 99,
        "iid": 1,
        "target_branch": "main",
        "source_branch": "ms-viewport",
        "title": "MS-Viewport",
        "state": "opened",
        "url": "https://gitlab.example/gitlabhq/gitlab-test/merge_requests/1",
        "action": "open",
    },
}
GITLAB_PUSH: Final = {
    "object_kind": "push",
    "event_name": "push",
    "ref": "refs/heads/main",
    "user_name": "John Smith",
    "user_username": "jsmith",
    "project": {
        "id": 15,
        "web_url": "https://gitlab.example/mike/diaspora",
        "path_with_namespace": "mike/diaspora",
    },
    "commits": [{"id": "b6568db1", "message": "Update Catalan translation."}],
}
PIPELINE: Final = {
    "object_kind": "pipeline",
    "object_attributes": {
        "id": 31,
        "ref": "main",
        "status": "failed",
        "url": "https://gitlab.example/gitlab-org/gitlab-test/-/pipelines/31",
    },
    "merge_request": {"id": 1, "title": "Test"},
    "user": {"id": 1, "username": "root"},
    "project": {"id": 1, "path_with_namespace": "gitlab-org/gitlab-test"},
}
