"""Callers: sipp places calls with digest and speaks on them until the platform hangs up."""

from __future__ import annotations

import csv
import math
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.nodes import HOST, NUMBER, PASSWORD, USER

SPOKEN_HZ: Final = 440
SPOKEN_PEAK: Final = 8_000
SPOKEN_SECONDS: Final = 5
RATE: Final = 8_000

INVITE_TIMEOUT_MS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What sipp counted."""

    placed: int
    succeeded: int
    failed: int
    retransmissions: int
    errors: str
    """The first of its complaints."""


class Callers:
    """One run of sipp.  Use `start`, then `wait` or `stop`."""

    def __init__(
        self,
        directory: Path,
        port: int,
        *,
        rate: float,
        calls: int,
        call_seconds: float,
        core: int | None = None,
        digest: bool = True,
    ) -> None:
        """`call_seconds` is the longest that a call may take; `core` the only one that sipp may use.

        Raises FileNotFoundError when there is no sipp.
        """
        if shutil.which("sipp") is None:
            raise FileNotFoundError("sipp is not installed: apt-get install sip-tester")
        self._directory = directory
        directory.mkdir(parents=True, exist_ok=True)
        speech = directory / "speech.alaw"
        speech.write_bytes(_tone())
        scenario = directory / "caller.xml"
        scenario.write_text(_scenario(speech, int(call_seconds * 1000), digest=digest))
        self._statistics = directory / "statistics.csv"
        self._errors = directory / "errors.log"
        for old in (self._statistics, self._errors):
            old.unlink(missing_ok=True)
        self._command = [
            *([] if core is None else ["taskset", "-c", str(core)]),
            "sipp", f"127.0.0.1:{port}", "-sf", str(scenario),
            "-i", "127.0.0.1", "-mi", "127.0.0.1",
            # sipp puts "sip:" before it.
            "-auth_uri", f"{NUMBER}@{HOST}",
            "-r", f"{rate:g}", "-m", str(calls), "-l", "100000", "-nostdin",
            "-timeout", f"{math.ceil(calls / rate + call_seconds + 30)}s",
            "-trace_stat", "-stf", str(self._statistics), "-fd", "1",
            "-trace_err", "-error_file", str(self._errors),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self._directory
        )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def outcome(self) -> Outcome:
        """What was counted so far."""
        try:
            with self._statistics.open(newline="") as file:
                rows = list(csv.DictReader(file, delimiter=";"))
        except FileNotFoundError:
            rows = []
        last = rows[-1] if rows else {}
        errors = self._errors.read_text(errors="replace") if self._errors.exists() else ""
        return Outcome(
            placed=int(last.get("TotalCallCreated") or 0),
            succeeded=int(last.get("SuccessfulCall(C)") or 0),
            failed=int(last.get("FailedCall(C)") or 0),
            retransmissions=int(last.get("Retransmissions(C)") or 0),
            errors=errors[:2_000],
        )


def _tone() -> bytes:
    """A-law; whole periods, so that it can be repeated without a click."""
    step = 2 * math.pi * SPOKEN_HZ / RATE
    return bytes(_alaw(round(SPOKEN_PEAK * math.sin(step * i))) for i in range(SPOKEN_SECONDS * RATE))


def _alaw(sample: int) -> int:
    """ITU-T G.711."""
    sign = 0x80 if sample >= 0 else 0
    size = min(abs(sample), 32_635)
    if size < 256:
        return (sign | size >> 4) ^ 0x55
    exponent = size.bit_length() - 8
    return (sign | exponent << 4 | size >> exponent + 3 & 0x0F) ^ 0x55


def _scenario(speech: Path, call_ms: int, *, digest: bool) -> str:
    challenged = f"""
  <recv response="100" optional="true"/>
  <recv response="407" auth="true" timeout="{INVITE_TIMEOUT_MS}"/>
  <send><![CDATA[

{_ack("[branch-3]", 1, "", f"sip:{NUMBER}@{HOST}")}
  ]]></send>
  <send retrans="500"><![CDATA[

{_invite(2, f"[authentication username={USER} password={PASSWORD}]")}
  ]]></send>"""
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="caller">
  <send retrans="500"><![CDATA[

{_invite(1, "")}
  ]]></send>{challenged if digest else ""}
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="183" optional="true"/>
  <recv response="200" rrs="true" timeout="{INVITE_TIMEOUT_MS}">
    <action><exec rtp_stream="{speech},-1,8"/></action>
  </recv>
  <send><![CDATA[

{_ack("[branch]", 2 if digest else 1, "[routes]", "[next_url]")}
  ]]></send>
  <recv request="BYE" timeout="{call_ms}"/>
  <send><![CDATA[

SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

  ]]></send>
</scenario>
"""


def _invite(cseq: int, credentials: str) -> str:
    extra = f"{credentials}\n" if credentials else ""
    return f"""INVITE sip:{NUMBER}@{HOST} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:{USER}@{HOST}>;tag=[pid]-[call_number]
To: <sip:{NUMBER}@{HOST}>
Call-ID: [call_id]
CSeq: {cseq} INVITE
{extra}Contact: <sip:{USER}@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

v=0
o=- 1 1 IN IP[local_ip_type] [local_ip]
s=-
c=IN IP[media_ip_type] [media_ip]
t=0 0
m=audio [rtpstream_audio_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=sendrecv
"""


def _ack(branch: str, cseq: int, routes: str, uri: str) -> str:
    extra = f"{routes}\n" if routes else ""
    return f"""ACK {uri} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch={branch};rport
Max-Forwards: 70
{extra}From: <sip:{USER}@{HOST}>;tag=[pid]-[call_number]
To: <sip:{NUMBER}@{HOST}>[peer_tag_param]
Call-ID: [call_id]
CSeq: {cseq} ACK
Content-Length: 0
"""
