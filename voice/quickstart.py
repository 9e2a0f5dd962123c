"""The first five minutes with trunkflow: starts the platform and places one real call through its front door.

The caller is a second, separate pjsua2 process that stands for the customer's PBX: it logs in with
digest, listens, and speaks.  With ``--once`` the program ends after that call, with status 0 only when
the caller heard the platform's speech and the platform's recording holds what the caller said.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
import wave
from pathlib import Path

from callflows.canonical import parse_document
from callflows.model import Utterance, Words
from callflows.ports import Unavailable
from callflows.steps import Say
from sip_config.faults import ConfigurationFaults
from voice.cli.apply import apply_declaration
from voice.config_file import ConfigFile, read_config_file
from voice.logs import log_to_stderr
from voice.node import Node, NodeError, running
from voice.pool.nursery import ZygoteFailed
from voice.records import (
    CallEnded,
    CallStarted,
    LegChanged,
    Record,
    RecordingDone,
    RecordingStarted,
    Refusal,
    StepFinished,
    StepStarted,
)
from voice.settings import SocketAddress
from voice.speech.ears import RECOGNISED, listen, read_wav
from voice.store.errors import StoreError

CONFIGURATION = Path(__file__).resolve().parent.parent / "samples" / "quickstart.toml"
USER, PASSWORD, DOMAIN, NUMBER = "pbx", "quickstart", "acme", "+31201234567"
"""As the configuration declares them."""

CALL_SECONDS = 45.0
"""The longest that the call may take; it takes about 15."""

POLITENESS_SECONDS = 0.8
"""The caller begins to speak so long after the greeting, when the tone has sounded."""

RECORDS_SECONDS = 5.0
"""How long the call's last record is waited for once the caller is done."""

CALLER_SAYS = "Hello, this is the telephone system of Acme. We would like to know how all of this works."


class Story:
    """Shows what happens, and keeps what is checked afterwards."""

    def __init__(self) -> None:
        self._began = time.time()
        self.recording: Path | None = None
        self.ended = asyncio.Event()

    def tell(self, text: str) -> None:
        print(f"  {time.time() - self._began:6.2f} s  {text}", flush=True)

    def hear(self, record: Record) -> None:
        match record:
            case CallStarted():
                self.tell(f"{record.source} calls {record.destination}, let in by ACL {record.acl}")
            case LegChanged(sip_status=status) if status is not None:
                self.tell(f"the leg is {record.status}: {status} {record.sip_reason or ''}".rstrip())
            case StepStarted():
                self.tell(f"step {record.seq}, {record.action} {record.step_id}, begins")
            case StepFinished():
                detail = f" ({record.detail})" if record.detail else ""
                self.tell(f"step {record.seq}, {record.action} {record.step_id}: {record.outcome}{detail}")
            case RecordingStarted():
                self.recording = Path(record.path)
            case RecordingDone():
                self.tell(f"recorded {record.seconds:.1f} s, {record.size} bytes")
            case Refusal():
                self.tell(f"refused by {record.gate}: {record.rule}. {record.remedy}")
            case CallEnded():
                self.tell(f"the call has ended: {record.reason}")
                self.ended.set()
            case _:
                pass


async def run(read: ConfigFile, once: bool) -> int:
    """The whole program; returns the exit status."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    story = Story()
    print("Starting the platform ...", flush=True)
    async with running(read.settings, watch=story.hear) as node:
        sip = next(door.sent_by for door in node.edge.addresses if door.transport == "UDP")
        print(f"Taking SIP on {sip} for {DOMAIN}.{read.settings.base_domain}. A PBX calls now:", flush=True)
        good = await _call(read, node, sip, story)
        if once or stop.is_set():
            return 0 if good else 1
        _say_how_to_call(read, sip)
        if node.api_address is not None:
            _say_how_to_develop(node.api_address)
        print("Ctrl-C ends the platform.", flush=True)
        await stop.wait()
        print("Stopping ...", flush=True)
    return 0


async def _call(read: ConfigFile, node: Node, sip: str, story: Story) -> bool:
    """Places the call and checks its sound; says what was found."""
    greeting = await node.sounds.speech(_greeting(node))
    saying = await node.sounds.speech(
        Utterance(language="en-US", voice="female", parts=(Words(text=CALLER_SAYS),))
    )
    host = f"{DOMAIN}.{read.settings.base_domain}"
    with tempfile.TemporaryDirectory(prefix="trunkflow-") as folder:
        spoken, heard = Path(folder) / "spoken.wav", Path(folder) / "heard.wav"
        _after_silence(Path(saying.path), greeting.seconds + POLITENESS_SECONDS, spoken)
        caller = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "voice.media.pj.phone", "call", f"sip:{NUMBER}@{host}"),
            *("--proxy", sip, "--identity", f"sip:{USER}@{host}", "--user", USER, "--password", PASSWORD),
            *("--play", str(spoken), "--record", str(heard), "--limit", str(CALL_SECONDS)),
            stdout=asyncio.subprocess.DEVNULL,
        )
        try:
            await caller.wait()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RECORDS_SECONDS):
                    await story.ended.wait()
        finally:
            if caller.returncode is None:
                caller.terminate()
                await caller.wait()
        there = _found("The caller heard the platform's speech", heard, Path(greeting.path))
        back = _found("The recording holds what the caller said", story.recording, Path(saying.path))
    if story.recording is not None:
        print(f"The recording is {story.recording.resolve()}", flush=True)
    return there and back


def _greeting(node: Node) -> Utterance:
    """What the number's callflow says first."""
    directory = node.directory()
    number = directory.number(NUMBER)
    flow = None if number is None else directory.callflow(number.callflow_id or "")
    if flow is None:
        raise NodeError(f"The configuration declares no callflow for {NUMBER}. Restore {CONFIGURATION}.")
    first = parse_document(flow.document).steps[0]
    if not isinstance(first, Say):
        raise NodeError(f"The callflow of {NUMBER} does not begin with say. Restore {CONFIGURATION}.")
    return first.utterance


def _after_silence(speech: Path, seconds: float, to: Path) -> None:
    with wave.open(str(speech), "rb") as source, wave.open(str(to), "wb") as target:
        target.setparams(source.getparams())
        target.writeframes(bytes(2 * round(seconds * source.getframerate())))
        target.writeframes(source.readframes(source.getnframes()))


def _found(claim: str, recording: Path | None, speech: Path) -> bool:
    """Whether the speech is in the recording; says so."""
    try:
        score = 0.0 if recording is None else listen(read_wav(recording), read_wav(speech)).score
    except (OSError, wave.Error) as error:
        print(f"{claim}: no, {error}", flush=True)
        return False
    verdict = "yes" if score >= RECOGNISED else "NO"
    print(f"{claim}: {verdict} (correlation {score:.2f}, from {RECOGNISED} on it is the same)", flush=True)
    return score >= RECOGNISED


def _say_how_to_call(read: ConfigFile, sip: str) -> None:
    host = f"{DOMAIN}.{read.settings.base_domain}"
    print(
        f"""
Serving. To call with a softphone on this machine, make it an account with

    SIP address       {USER}@{host}
    user name         {USER}
    password          {PASSWORD}
    outbound proxy    {sip} (UDP or TCP), no registration

and dial {NUMBER}. With baresip, for example, in ~/.baresip/accounts:

    <sip:{USER}@{host};transport=udp>;auth_user={USER};auth_pass={PASSWORD};outbound="sip:{sip}";regint=0

What happened is shown by

    .venv/bin/trunkflow calls --config {CONFIGURATION}
    .venv/bin/trunkflow refusals --config {CONFIGURATION}
""",
        flush=True,
    )


def _say_how_to_develop(api: SocketAddress) -> None:
    """With a test key, calls are simulated: nobody has to be at the other end."""
    print(
        f"""The API is described at http://{api}/. To try it:

    KEY=$(.venv/bin/trunkflow keys create --account {DOMAIN} --test --config {CONFIGURATION})
    curl -s http://{api}/calls -H "Authorization: AccessKey $KEY" -d '{{
      "source": "{NUMBER}", "destination": "+31612345678", "callFlow": {{"steps": [
        {{"action": "say", "options": {{"payload": "Hello", "language": "en-GB"}}}}]}}}}'
    curl -s http://{api}/calls -H "Authorization: AccessKey $KEY"
""",
        flush=True,
    )


def main() -> int:
    """The command line; plain sentences for what the user can mend."""
    parser = argparse.ArgumentParser(
        prog="./run", description="Starts trunkflow and places one call through it."
    )
    parser.add_argument("--once", action="store_true", help="end after the call; status 0 when it was good")
    parser.add_argument("--config", type=Path, default=CONFIGURATION, help="another configuration like it")
    options = parser.parse_args()
    try:
        read = read_config_file(options.config, os.environ)
        log_to_stderr(read.settings)
        apply_declaration(read)
        return asyncio.run(run(read, options.once))
    except OSError as error:
        print(
            f"{error}. Is another program using the port? {options.config} names the addresses.",
            file=sys.stderr,
        )
    except (ConfigurationFaults, NodeError, StoreError, Unavailable, ZygoteFailed) as error:
        print(error, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
