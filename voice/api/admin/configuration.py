"""The whole configuration at once: what ``trunkflow apply`` does, with the same file."""

from __future__ import annotations

from typing import Final

from sip_config.differences import Change
from sip_config.faults import ConfigurationFaults
from voice.api.admin import shapes
from voice.api.admin.editing import Editor, refuse_test_key
from voice.api.faults import Code, Conflict, Family, Invalid, Json, Problem
from voice.api.operation import Account as Owner
from voice.api.operation import Operation
from voice.api.readers import truth
from voice.api.reply import Reply
from voice.api.request import Request
from voice.api.services import Services
from voice.config_file import read_declaration_text
from voice.store.config import Clashing

LARGEST_FILE: Final = 4_194_304
MOST_FAULTS: Final = 100

_CHANGE: Final = shapes.shape(
    {
        "action": shapes.word("added", "changed", "removed"),
        "name": shapes.TEXT,
        "details": shapes.listed(shapes.TEXT),
    },
    title="ConfigurationChange",
)
_APPLIED: Final = shapes.shape(
    {"dryRun": shapes.TRUTH, "version": shapes.WHOLE, "changes": shapes.listed(_CHANGE)},
    title="AppliedConfiguration",
)


class _Configuration:
    def __init__(self, services: Services, editor: Editor) -> None:
        self._settings = services.settings
        self._store = editor.store

    async def apply(self, request: Request) -> Reply:
        dry_run = request.query.get("dryRun", truth, False)
        request.query.check()
        if not dry_run:
            refuse_test_key(request)
        try:
            declaration = read_declaration_text(request.content, self._settings)
            changes = await self._store.apply(declaration, dry_run=dry_run, keep_media=True)
        except ConfigurationFaults as refused:
            raise Invalid(*_problems(refused)) from None
        except Clashing as clashing:
            raise Conflict(str(clashing), code=Code.DUPLICATE) from None
        return Reply.json(
            {
                "dryRun": dry_run,
                "version": await self._store.version(),
                "changes": [_shown(change) for change in changes],
            }
        )


def _problems(refused: ConfigurationFaults) -> list[Problem]:
    problems = []
    for fault in refused.faults[:MOST_FAULTS]:
        line = "" if fault.line is None else f"Line {fault.line}: "
        problems.append(
            Problem(
                code=Code.INVALID,
                message=f"{line}{fault.message} {fault.remedy}",
                parameter=fault.key or None,
            )
        )
    return problems


def _shown(change: Change) -> Json:
    return {"action": change.action, "name": change.name, "details": list(change.details)}


def operations(services: Services, editor: Editor) -> tuple[Operation, ...]:
    return (
        Operation(
            method="PUT",
            path="/configuration",
            run=_Configuration(services, editor).apply,
            family=Family.REST,
            tag="Configuration",
            scope="configuration",
            account=Owner.OPERATOR,
            summary="Apply a configuration file",
            description="The body is a file as trunkflow apply takes it: what the store lacks is added, what "
            "an earlier file declared and this one does not is removed, what the API made stays. Callflows "
            "stand in it as document; media files are uploaded (PUT /media/...), and stay as they are.",
            query={"dryRun": shapes.described(shapes.TRUTH, "Only say what would change.")},
            body={"type": "string"},
            body_type="application/toml",
            raw_body=True,
            largest_body=LARGEST_FILE,
            answers={200: _APPLIED},
        ),
    )
