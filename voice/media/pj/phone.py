"""A telephone for the command line: places or takes one call, plays a file, records what it hears.

`./run` uses it as the customer's PBX, and so do the tests.  It shares nothing with the platform but
pjsua2: its own process, its own sockets.  What happens is printed as a JSON object per line.

    python -m voice.media.pj.phone call URI --proxy HOST:PORT --user U --password P --play a.wav
    python -m voice.media.pj.phone answer --port 0 --play a.wav --record b.wav

With ``--obey`` it also does what standard input says, a command per line: ``answer STATUS``, ``hangup``,
``hold``, ``resume``, ``digits 12#``.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import select
import sys
import time

import pjsua2 as pj

from sip_config.model import SrtpPolicy
from voice.media.pj.endpoint import create_quietly, destroy, encrypt
from voice.media.pj.thread import LINGER_SECONDS

KINDS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}
POLL_MS = 20
"""A telephone of one call may poll often."""


def say(event: str, **facts: object) -> None:
    print(json.dumps({"event": event, "at": time.time(), **facts}), flush=True)


class PhoneCall(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    """One call; what happens to it is printed."""

    def __init__(self, phone: Phone, call_id: int = pj.PJSUA_INVALID_ID) -> None:
        super().__init__(phone.account, call_id)
        self._phone = phone
        self._player: pj.AudioMediaPlayer | None = None
        self._recorder: pj.AudioMediaRecorder | None = None
        self.status: int | None = None
        """Of the final response, once the call has ended."""

    def onCallState(self, prm: pj.OnCallStateParam) -> None:
        info = self.getInfo()
        say("state", state=info.stateText, status=info.lastStatusCode, reason=info.lastReason)
        if info.state == pj.PJSIP_INV_STATE_CONFIRMED:
            self._phone.answered_at = time.monotonic()
        if info.state == pj.PJSIP_INV_STATE_DISCONNECTED:
            self.status = info.lastStatusCode

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        info = self.getInfo()  # held: its media are views into it
        for index, media in enumerate(info.media):
            if media.type == pj.PJMEDIA_TYPE_AUDIO and media.audioConfSlot >= 0:
                self._join(self.getAudioMedia(index))
                say("media", status=int(media.status))

    def _join(self, sound: pj.AudioMedia) -> None:
        options = self._phone.options
        if options.play and self._player is None:
            self._player = pj.AudioMediaPlayer()
            self._player.createPlayer(options.play, 0 if options.loop else pj.PJMEDIA_FILE_NO_LOOP)
        if options.record and self._recorder is None:
            self._recorder = pj.AudioMediaRecorder()
            self._recorder.createRecorder(options.record)
        if self._player is not None:
            self._player.startTransmit(sound)
        if self._recorder is not None:
            sound.startTransmit(self._recorder)

    def onDtmfDigit(self, prm: pj.OnDtmfDigitParam) -> None:
        say("digit", digit=prm.digit)

    def reply(self, status: int) -> None:
        """Answers an incoming call with this status."""
        param = pj.CallOpParam()
        param.statusCode = status
        self.answer(param)

    def send_digits(self, digits: str) -> None:
        param = pj.CallSendDtmfParam()
        param.digits = digits
        by_info = self._phone.options.digits_by == "info"
        param.method = pj.PJSUA_DTMF_METHOD_SIP_INFO if by_info else pj.PJSUA_DTMF_METHOD_RFC2833
        self.sendDtmf(param)

    def resume(self) -> None:
        """Ends a hold."""
        param = pj.CallOpParam(True)
        param.opt.videoCount = 0
        param.opt.flag = pj.PJSUA_CALL_UNHOLD
        self.reinvite(param)

    def close(self) -> None:
        for thing in (self._player, self._recorder, self):
            if thing is not None:
                destroy(thing)


class _Account(pj.Account):  # type: ignore[misc]  # pjsua2 has no types
    def __init__(self, phone: Phone) -> None:
        super().__init__()
        self._phone = phone

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        self._phone.take(prm.callId, prm.rdata.wholeMsg)


class Phone:
    """The endpoint, one account and one call."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.answered_at: float | None = None
        self.call: PhoneCall | None = None
        self._answer_at = math.inf
        self._heard = ""
        """The beginning of a command whose end has not been read."""
        self._endpoint = create_quietly()
        config = pj.EpConfig()
        config.uaConfig.threadCnt = 0
        config.uaConfig.userAgent = "trunkflow phone"
        config.logConfig.level = config.logConfig.consoleLevel = 0
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.medConfig.noVad = True
        config.medConfig.ecTailLen = 0
        self._endpoint.libInit(config)
        transport = pj.TransportConfig()
        transport.boundAddress = options.bind
        transport.port = options.port
        if options.certificate:
            # Certificate and key in one file, and authorities of others in another.
            transport.tlsConfig.certFile = transport.tlsConfig.privKeyFile = options.certificate
        if options.authorities:
            transport.tlsConfig.CaListFile = options.authorities
            transport.tlsConfig.verifyServer = True
        transport_id = self._endpoint.transportCreate(KINDS[options.transport], transport)
        self._endpoint.libStart()
        self._endpoint.audDevManager().setNullDev()
        for codec in self._endpoint.codecEnum2():
            wanted = codec.codecId.upper().startswith(options.codec.upper() + "/")
            self._endpoint.codecSetPriority(codec.codecId, 200 if wanted else 0)
        self.account = _Account(self)
        self.account.create(self._account_config(transport_id))
        say("ready", address=self._endpoint.transportGetInfo(transport_id).localAddress)

    def _account_config(self, transport_id: int) -> pj.AccountConfig:
        options = self.options
        config = pj.AccountConfig()
        config.idUri = options.identity
        config.sipConfig.transportId = transport_id
        config.natConfig.contactRewriteUse = 0
        config.mediaConfig.transportConfig.boundAddress = options.bind
        encrypt(config.mediaConfig, options.srtp)
        if options.user:
            config.sipConfig.authCreds.append(
                pj.AuthCredInfo("digest", "*", options.user, 0, options.password)
            )
        if options.proxy:
            config.sipConfig.proxies.append(f"sip:{options.proxy};lr;transport={options.transport}")
        return config

    def dial(self) -> None:
        self.call = PhoneCall(self)
        param = pj.CallOpParam(True)
        param.opt.videoCount = 0
        self.call.makeCall(self.options.uri, param)

    def take(self, call_id: int, message: str) -> None:
        call = PhoneCall(self, call_id)
        status = 486 if self.call is not None else self.options.status
        if self.call is None:
            self.call = call
        say("incoming", invite=message)
        if status == 486 or not self.options.ring:
            call.reply(status)
        else:
            call.reply(180)
            self._answer_at = time.monotonic() + self.options.ring

    def run(self) -> int:
        """Until the call has ended; the exit status is 0 when it was answered."""
        deadline = time.monotonic() + self.options.limit
        digits = self.options.digits
        while time.monotonic() < deadline and (self.call is None or self.call.status is None):
            self._endpoint.libHandleEvents(POLL_MS)
            if self.call is not None and time.monotonic() > self._answer_at:
                self._answer_at = math.inf
                self.call.reply(self.options.status)
            talked = 0.0 if self.answered_at is None else time.monotonic() - self.answered_at
            if self.options.obey:
                self._obey()
            if digits and talked > self.options.digits_after and self.call is not None:
                self.call.send_digits(digits)
                digits = ""
            if self.call is not None and self.options.talk and talked > self.options.talk:
                self.options.talk = 0.0
                self.call.hangup(pj.CallOpParam())
        status = None if self.call is None else self.call.status
        if self.options.transport != "udp":
            # The last message may still wait for a connection of its own.
            self._poll_for(0.5)
        self._close()
        say("ended", status=status, answered=self.answered_at is not None)
        return 0 if self.answered_at is not None else 1

    def _obey(self) -> None:
        """Does what standard input says, if it says anything."""
        while select.select([sys.stdin], [], [], 0)[0]:
            data = os.read(sys.stdin.fileno(), 4096)
            if not data:
                self.options.obey = False
                return
            *lines, self._heard = (self._heard + data.decode()).split("\n")
            for line in lines:
                self._do(*line.split())

    def _do(self, order: str, argument: str = "") -> None:
        call = self.call
        if call is None or call.status is not None:
            say("ignored", order=order)
            return
        match order:
            case "answer":
                call.reply(int(argument))
            case "hangup":
                call.hangup(pj.CallOpParam())
            case "hold":
                call.setHold(pj.CallOpParam(True))
            case "resume":
                call.resume()
            case "digits":
                call.send_digits(argument)
            case _:
                raise ValueError(f"there is no command {order!r}")

    def _poll_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self._endpoint.libHandleEvents(POLL_MS)

    def _close(self) -> None:
        if self.call is not None:
            if self.call.status is None:
                self.call.hangup(pj.CallOpParam())
                self._poll_for(0.5)
            if self.options.play:
                # As in `PjThread.destroy_later`.
                self._poll_for(LINGER_SECONDS)
            self.call.close()
        destroy(self.account)
        self._endpoint.libDestroy(pj.PJSUA_DESTROY_NO_NETWORK)
        destroy(self._endpoint)


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="voice.media.pj.phone", description=__doc__)
    parser.add_argument("mode", choices=("call", "answer"))
    parser.add_argument("uri", nargs="?", default="", help="whom to call")
    parser.add_argument("--bind", default="127.0.0.1", help="local address for SIP and RTP")
    parser.add_argument("--port", type=int, default=0, help="local SIP port; 0: any")
    parser.add_argument("--transport", choices=tuple(KINDS), default="udp")
    parser.add_argument("--certificate", help="PEM file for TLS, with its key")
    parser.add_argument("--authorities", help="PEM file of those whose TLS certificates are believed")
    parser.add_argument("--proxy", help="host:port that everything is sent to")
    parser.add_argument("--identity", default="sip:phone@localhost", help="URI of From")
    parser.add_argument("--user", help="user name for digest")
    parser.add_argument("--password", default="")
    parser.add_argument("--codec", default="PCMA")
    parser.add_argument("--srtp", type=SrtpPolicy, choices=tuple(SrtpPolicy), default=SrtpPolicy.FORBIDDEN)
    parser.add_argument("--play", help="WAV file to speak")
    parser.add_argument("--loop", action="store_true", help="play it again and again")
    parser.add_argument("--record", help="WAV file for what is heard")
    parser.add_argument("--digits", default="", help="DTMF to send")
    parser.add_argument("--digits-by", choices=("rtp", "info"), default="rtp", help="RFC 4733 or SIP INFO")
    parser.add_argument("--digits-after", type=float, default=1.0, help="seconds after the answer")
    parser.add_argument("--ring", type=float, default=0.0, help="seconds of 180 before the answer")
    parser.add_argument("--status", type=int, default=200, help="what an incoming call is answered with")
    parser.add_argument("--talk", type=float, default=0.0, help="hang up so many seconds after the answer")
    parser.add_argument("--obey", action="store_true", help="take commands from standard input")
    parser.add_argument(
        "--limit", type=float, default=60.0, help="end whatever happens after so many seconds"
    )
    return parser.parse_args(arguments)


def main() -> int:
    options = parse(sys.argv[1:])
    phone = Phone(options)
    if options.mode == "call":
        phone.dial()
    return phone.run()


if __name__ == "__main__":
    sys.exit(main())
