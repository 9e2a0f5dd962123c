"""The OpenAPI 3.1 document of the API, made from the operations that the server serves, and a page of it.

The page is ours, small, and needs nothing from anywhere: a Content-Security-Policy forbids it to.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from voice.api.faults import Code, Family, Json
from voice.api.operation import Account, Operation
from voice.api.reply import Reply
from voice.api.request import ACCOUNT_HEADER, Request
from voice.api.schemas import shape

_TAG: Final = "Documentation"
_PARAMETER: Final = re.compile(r"\{([^}]+)\}")
_SECURITY: Final = "accessKey"

_PAGE_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
}

_INTRODUCTION: Final = f"""
Calls, callflows, recordings and webhooks as MessageBird's SDKs know them, voice messages and
verification, and the administration of SIP trunks.

* Every path exists with and without `/v1` in front, and with or without a slash at its end.
* `Authorization: AccessKey <key>`. Keys that begin with `test_` run calls in simulation.
* An operator's key says for which account it asks: `?account=<id or name>`, or the header `{ACCOUNT_HEADER}`.
* Names of fields are compared without case; numbers and truths may come as text, objects as JSON in a text,
  bodies as forms. `?_method=PUT` and the like override the verb of GET and POST.
* Each answer has an `X-Request-Id`, the one that the request brought if it did.
* Lists come in pages, the oldest first, so that they stay consistent while they grow.
"""


def document(operations: Iterable[Operation]) -> Json:
    """The OpenAPI document."""
    components: dict[str, Json] = {}
    paths: dict[str, Json] = {}
    for operation in operations:
        for at, path in enumerate(operation.paths):
            entry = _operation(operation, path, deprecated=at > 0, again=at, components=components)
            paths.setdefault(path, {})[operation.method.lower()] = entry
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "trunkflow",
            "version": version("trunkflow"),
            "description": _INTRODUCTION.strip(),
            "license": {"name": "GPL-3.0-or-later", "identifier": "GPL-3.0-or-later"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.items())),
            "parameters": {"account": _ACCOUNT},
            "securitySchemes": {
                _SECURITY: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`AccessKey ` followed by the key.",
                }
            },
        },
    }


def operations(others: Iterable[Operation]) -> tuple[Operation, ...]:
    """What shows the document of `others` and of itself."""
    known: list[Operation] = list(others)

    async def show(request: Request) -> Reply:
        return Reply.text(text, content_type="application/json; charset=utf-8")

    own = (
        Operation(
            method="GET",
            path="/openapi.json",
            run=show,
            family=Family.REST,
            tag=_TAG,
            scope=None,
            summary="This document",
            answers={200: {"type": "object"}},
        ),
        *(_asset(path, name, media_type, summary) for path, name, media_type, summary in _ASSETS),
    )
    text = json.dumps(document([*known, *own]), ensure_ascii=False, separators=(",", ":"))
    return own


_ASSETS: Final = (
    ("/docs", "index.html", "text/html", "The documentation as a page"),
    ("/docs/page.js", "page.js", "text/javascript", "The page's script"),
    ("/docs/page.css", "page.css", "text/css", "The page's style"),
)


def _asset(path: str, name: str, media_type: str, summary: str) -> Operation:
    content = files("voice.api").joinpath("page", name).read_text(encoding="utf-8")

    async def show(request: Request) -> Reply:
        return Reply(
            status=200,
            body=content.encode(),
            content_type=f"{media_type}; charset=utf-8",
            headers=_PAGE_HEADERS,
        )

    return Operation(
        method="GET",
        path=path,
        also=("/",) if path == "/docs" else (),
        run=show,
        family=Family.REST,
        tag=_TAG,
        scope=None,
        summary=summary,
        answers={200: media_type},
    )


def _operation(
    operation: Operation, path: str, *, deprecated: bool, again: int, components: dict[str, Json]
) -> Json:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
    ]
    parameters += [_query(name, schema) for name, schema in operation.query.items()]
    if operation.scope is not None and operation.account is not Account.OPERATOR:
        parameters.append({"$ref": "#/components/parameters/account"})
    entry: Json = {
        "operationId": _id(operation.summary) + (f"-{again + 1}" if again else ""),
        "tags": [operation.tag],
        "summary": operation.summary,
        "parameters": parameters,
        "responses": _answers(operation, components),
        "security": [{_SECURITY: []}] if operation.scope is not None else [],
    }
    description = _description(operation)
    if description:
        entry["description"] = description
    if operation.body is not None:
        media = operation.body_type
        entry["requestBody"] = {"content": {media: {"schema": _lifted(operation.body, components)}}}
    if deprecated and path != "/":
        entry["deprecated"] = True
    return entry


def _description(operation: Operation) -> str:
    parts = [operation.description]
    if operation.account is Account.OPERATOR:
        parts.append("For operators' keys only.")
    if operation.scope is not None:
        parts.append(f"Scope: `{operation.scope}`.")
    return " ".join(part for part in parts if part)


def _query(name: str, schema: Mapping[str, Any]) -> Json:
    rest = dict(schema)
    parameter: Json = {"name": name, "in": "query", "required": bool(rest.pop("required", False))}
    if "description" in rest:
        parameter["description"] = rest.pop("description")
    return {**parameter, "schema": rest}


def _answers(operation: Operation, components: dict[str, Json]) -> Json:
    answers: Json = {}
    for status, answer in operation.answers.items():
        said: Json = {"description": _STATUS.get(status, "An answer."), "headers": _HEADERS}
        if isinstance(answer, str):
            if answer:
                said["content"] = {answer: {"schema": {"type": "string"}}}
        else:
            said["content"] = {"application/json": {"schema": _lifted(answer, components)}}
        answers[str(status)] = said
    fault = {"application/json": {"schema": _lifted(_FAULT[operation.family], components)}}
    if operation.scope is not None:
        answers["401"] = {
            "description": "No access key, a wrong one, or one without the scope.",
            "content": fault,
        }
        answers["422"] = {"description": "Everything that is wrong with the request.", "content": fault}
        answers["429"] = {
            "description": "Too many requests with this key; Retry-After says how many seconds to wait.",
            "content": fault,
        }
    if operation.scope is not None and "{" in operation.path:
        answers["404"] = {"description": "There is no such thing in this account.", "content": fault}
    answers["default"] = {"description": "Anything else that went wrong.", "content": fault}
    return answers


def _lifted(schema: Any, components: dict[str, Json]) -> Any:
    """The schema with everything in it that has a title among the components."""
    if isinstance(schema, list | tuple):
        return [_lifted(one, components) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    lifted = {name: _lifted(value, components) for name, value in schema.items()}
    title = schema.get("title")
    if not isinstance(title, str):
        return lifted
    known = components.setdefault(title, lifted)
    assert known == lifted, f"two schemas are called {title}"
    return {"$ref": f"#/components/schemas/{title}"}


def _id(summary: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", summary.lower()).strip("-")


_ACCOUNT: Final[Json] = {
    "name": "account",
    "in": "query",
    "description": "Id or name of the account, for operators' keys.",
    "schema": {"type": "string"},
}
_HEADERS: Final[Json] = {
    "X-Request-Id": {"description": "Names the request in the log.", "schema": {"type": "string"}}
}
_STATUS: Final = {
    200: "Here it is.",
    201: "It was made, and is stored.",
    202: "It was accepted.",
    204: "It is done.",
    206: "The range that was asked for.",
}
_PROBLEM: Final = shape(
    {
        "code": {
            "type": "integer",
            "description": "; ".join(f"{int(code)}: {code.name.lower().replace('_', ' ')}" for code in Code)
            + "; 13: not found in the voice API",
        },
        "message": {"type": "string"},
        "description": {"type": "string", "description": "The same as message."},
        "parameter": {
            "type": ["string", "null"],
            "description": "The field, with the JSON pointer inside it: callFlow/steps/0/options/payload.",
        },
    },
    title="Error",
)
_ERRORS: Final = {"type": "array", "items": _PROBLEM, "minItems": 1}
_FAULT: Final = {
    Family.VOICE: shape({"data": {"type": "null"}, "errors": _ERRORS}, title="VoiceErrors"),
    Family.REST: shape({"errors": _ERRORS}, title="Errors"),
}
