"""What calls cost in pjsua2 alone: it answers, plays a file, then records.

Nothing of trunkflow is in it but how pjsua2 is configured.

    python -m bench.bare_call --calls 4 --play prompt.wav --prompt-seconds 70 --directory /tmp/x

Prints its SIP port, runs until it is terminated.  `bench.calls` starts it to compare with.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pjsua2 as pj

from sip_config.model import SrtpPolicy
from voice.media.pj.endpoint import answering_account, boot, create_quietly
from voice.media.seam import MediaSettings

POLL_MS = 500


class _Call(pj.Call):  # type: ignore[misc]  # pjsua2 has no types
    def __init__(self, account: pj.Account, call_id: int, options: argparse.Namespace) -> None:
        super().__init__(account, call_id)
        self._options = options
        self._player: pj.AudioMediaPlayer | None = None
        self._recorder: pj.AudioMediaRecorder | None = None
        self.record_at: float | None = None
        """When the prompt gives way to the recording (`time.monotonic`)."""

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:
        if self._player is None:
            self._player = pj.AudioMediaPlayer()
            self._player.createPlayer(self._options.play, pj.PJMEDIA_FILE_NO_LOOP)
            self._player.startTransmit(self.getAudioMedia(-1))
            self.record_at = time.monotonic() + self._options.prompt_seconds

    def record(self) -> None:
        self.record_at = None
        sound = self.getAudioMedia(-1)
        if self._player is not None:
            self._player.stopTransmit(sound)
        self._recorder = pj.AudioMediaRecorder()
        self._recorder.createRecorder(str(self._options.directory / f"{id(self)}.wav"))
        sound.startTransmit(self._recorder)


class _Account(pj.Account):  # type: ignore[misc]  # pjsua2 has no types
    def __init__(self, options: argparse.Namespace) -> None:
        super().__init__()
        self._options = options
        self.calls: list[_Call] = []

    def onIncomingCall(self, prm: pj.OnIncomingCallParam) -> None:
        call = _Call(self, prm.callId, self._options)
        self.calls.append(call)
        answer = pj.CallOpParam()
        answer.statusCode = 200
        call.answer(answer)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.bare_call", description=__doc__)
    parser.add_argument("--calls", type=int, required=True, help="legs of this process")
    parser.add_argument("--play", required=True, help="WAV file")
    parser.add_argument("--prompt-seconds", type=float, required=True, help="then the recording begins")
    parser.add_argument("--directory", type=Path, required=True, help="for recordings")
    parser.add_argument("--rtp-port", type=int, required=True, help="first of its ports")
    options = parser.parse_args()
    settings = MediaSettings(
        sip_host="127.0.0.1",
        from_host="127.0.0.1",
        rtp_host="127.0.0.1",
        rtp_public_host="127.0.0.1",
        rtp_port=options.rtp_port,
        rtp_ports=16,
        legs=options.calls,
    )
    endpoint = create_quietly()
    _, port = boot(endpoint, settings)
    account = _Account(options)
    account.create(answering_account(settings, SrtpPolicy.OPTIONAL))
    print(port, flush=True)
    while True:
        endpoint.libHandleEvents(POLL_MS)
        for call in account.calls:
            if call.record_at is not None and time.monotonic() >= call.record_at:
                call.record()


if __name__ == "__main__":
    main()
