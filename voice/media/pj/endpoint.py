"""How pjsua2 is configured for a call process."""

from __future__ import annotations

import logging
import os

import pjsua2 as pj

from sip_config.model import SrtpPolicy
from voice.media.seam import MediaSettings
from voice.media.srtp import USUAL_SRTP, srtp_uri

log = logging.getLogger(__name__)

CODEC_TOP_PRIORITY = 250

SRTP_USE = {
    SrtpPolicy.FORBIDDEN: pj.PJMEDIA_SRTP_DISABLED,
    SrtpPolicy.OPTIONAL: pj.PJMEDIA_SRTP_OPTIONAL,
    SrtpPolicy.REQUIRED: pj.PJMEDIA_SRTP_MANDATORY,
}
SRTP_SUITES = ("AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32", "AES_256_CM_HMAC_SHA1_80")
"""Most preferred first: the one that everybody has (RFC 4568 section 6.2), and what some insist on."""

LEVELS = {0: logging.CRITICAL, 1: logging.ERROR, 2: logging.WARNING, 3: logging.INFO}
"""pjsip's levels; higher ones are details."""


class _Log(pj.LogWriter):  # type: ignore[misc]  # pjsua2 has no types
    """What the stack has to say, among all else that is logged."""

    def write(self, entry: pj.LogEntry) -> None:
        log.log(LEVELS.get(entry.level, logging.DEBUG), "%s", entry.msg.strip())


def boot(endpoint: pj.Endpoint, settings: MediaSettings, log_level: int = 2) -> tuple[str, int]:
    """Initialises and starts the library in the calling thread; returns its SIP address.

    `log_level` is pjsip's: 0 silent, 1 errors, 2 warnings, 6 everything.
    """
    endpoint.libInit(_endpoint_config(settings, log_level))
    transport = pj.TransportConfig()
    transport.port = 0
    transport.boundAddress = settings.sip_host
    transport_id = endpoint.transportCreate(pj.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    endpoint.audDevManager().setNullDev()
    _choose_codecs(endpoint, settings.codecs)
    host, _, port = endpoint.transportGetInfo(transport_id).localAddress.rpartition(":")
    return host, int(port)


def _endpoint_config(settings: MediaSettings, log_level: int) -> pj.EpConfig:
    config = pj.EpConfig()
    config.uaConfig.maxCalls = settings.legs
    config.uaConfig.threadCnt = 0
    # SIP callbacks come from the polling thread because there is no other.  Only digits and end of
    # file come from media threads; with mainThreadOnly they would wait for the long poll to end
    # (measured: up to the whole wait), without it they are handed over at once.
    config.uaConfig.mainThreadOnly = False
    config.uaConfig.userAgent = "trunkflow"
    # What a far end cannot use only makes the INVITE longer.
    config.uaConfig.natTypeInSdp = 0
    config.logConfig.level = log_level
    config.logConfig.consoleLevel = log_level
    config.logConfig.msgLogging = 0
    # Which part of it speaks; time and thread our own log adds.
    config.logConfig.decor = pj.PJ_LOG_HAS_SENDER | pj.PJ_LOG_HAS_SPACE
    # The library deletes its writer when it is destroyed: it is its own from here on.
    config.logConfig.writer = _Log().__disown__()
    media = config.medConfig
    media.clockRate = settings.clock_rate
    media.sndClockRate = settings.clock_rate
    media.channelCount = 1
    media.audioFramePtime = 20
    media.hasIoqueue = True
    media.threadCnt = 1
    media.noVad = True
    media.ecTailLen = 0
    return config


def _choose_codecs(endpoint: pj.Endpoint, wanted: tuple[str, ...]) -> None:
    for codec in endpoint.codecEnum2():
        name = next((one for one in wanted if codec.codecId.startswith(one + "/")), None)
        priority = 0 if name is None else CODEC_TOP_PRIORITY - wanted.index(name)
        endpoint.codecSetPriority(codec.codecId, priority)


def answering_account(settings: MediaSettings, srtp: SrtpPolicy) -> pj.AccountConfig:
    """The account of legs that come in, for trunks of one policy: the stack finds it by their To."""
    uri = f"sip:trunkflow@{settings.from_host}" if srtp is USUAL_SRTP else srtp_uri(srtp)
    return _account(settings, uri, srtp, SRTP_SUITES)


def placing_account(settings: MediaSettings, srtp: SrtpPolicy) -> pj.AccountConfig:
    """The account of legs that we place: an INVITE with all suites would hardly fit into a datagram."""
    return _account(settings, f"sip:placing-{srtp}@srtp.invalid", srtp, SRTP_SUITES[:1])


def _account(
    settings: MediaSettings, uri: str, srtp: SrtpPolicy, suites: tuple[str, ...]
) -> pj.AccountConfig:
    """Accounts of a call process never register, they only carry the settings of legs."""
    config = pj.AccountConfig()
    config.idUri = uri
    config.callConfig.timerUse = pj.PJSUA_SIP_TIMER_OPTIONAL
    config.callConfig.prackUse = pj.PJSUA_100REL_OPTIONAL
    # The edge is one hop away and keeps the far end's address: nothing to learn from Via or Contact.
    config.natConfig.contactRewriteUse = 0
    config.natConfig.viaRewriteUse = 0
    config.natConfig.sdpNatRewriteUse = 0
    transport = config.mediaConfig.transportConfig
    transport.boundAddress = settings.rtp_host
    transport.publicAddress = settings.rtp_public_host
    transport.port = settings.rtp_port
    transport.portRange = settings.rtp_ports - 2
    encrypt(config.mediaConfig, srtp, suites)
    return config


def encrypt(media: pj.AccountMediaConfig, policy: SrtpPolicy, suites: tuple[str, ...] = SRTP_SUITES) -> None:
    """Says which encryption the legs of an account offer and take: SRTP with SDES."""
    media.srtpUse = SRTP_USE[policy]
    # Signalling goes to the edge over loopback; whether it is secure beyond is for the edge to say.
    media.srtpSecureSignaling = 0
    media.srtpOpt.keyings.append(pj.PJMEDIA_SRTP_KEYING_SDES)
    for name in suites:
        suite = pj.SrtpCrypto()
        suite.name = name
        suite.flags = 0
        media.srtpOpt.cryptos.append(suite)


def create_quietly() -> pj.Endpoint:
    """A created endpoint.  `libCreate` prints a banner before its log level can be set: that goes nowhere."""
    kept = os.dup(1)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    try:
        endpoint = pj.Endpoint()
        endpoint.libCreate()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(null)
    return endpoint


def destroy(thing: pj.AudioMedia | pj.Call | pj.Account | pj.Endpoint) -> None:
    """Frees the C++ object now; the Python object is an empty shell afterwards.

    Nothing of pjsua2 is left to the garbage collector: what it would free later, in whatever thread
    it runs, could be somebody else's call id or conference slot by then.
    """
    type(thing).__swig_destroy__(thing)
