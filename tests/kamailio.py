"""Kamailio, as a carrier that wants its customers to register: a registrar that challenges, and a proxy.

It is a strict one.  It knows one customer, takes no registration that is shorter than it likes (423), calls
the nonce of the first right answer stale, keeps bindings in memory alone, and brings each call for its
customer to the Contact that was registered.  Now and then one of its processes does not end when it is to;
after `exit_timeout` it is made to.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from sip_config.model import Transport

HOST: Final = "127.0.0.1"
DOMAIN: Final = "carrier.example"
USER: Final = "31201234567"
PASSWORD: Final = "correct horse"
PATIENCE_SECONDS: Final = 20.0

_CONFIG: Final = """
debug=0
log_stderror=yes
children=1
tcp_children=1
exit_timeout=3
disable_core_dump=yes
{listen}
alias="{domain}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "textops.so"
loadmodule "siputils.so"
loadmodule "xlog.so"
loadmodule "htable.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("htable", "htable", "told=>size=4;")
modparam("auth", "algorithm", "{algorithm}")
modparam("auth", "qop", "auth")
modparam("auth", "nonce_count", 1)
modparam("registrar", "append_branches", 0)
{tls}
request_route {{
    if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
    if (is_method("REGISTER")) {{ route(REGISTER); exit; }}
    if (has_totag()) {{
        if (loose_route() || t_check_trans()) {{ t_relay(); }}
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) {{ t_relay(); }}
        exit;
    }}
    if (!is_method("INVITE") || !lookup("location")) {{ sl_send_reply("404", "Not Registered"); exit; }}
    record_route();
    t_relay();
}}

route[REGISTER] {{
    if (!pv_www_authenticate("{domain}", "{password}", "0") || $au != "{user}") {{
        www_challenge("{domain}", "1");
        exit;
    }}
    if ($sht(told=>$ci) == $null) {{
        $sht(told=>$ci) = 1;
        xlog("L_ALERT", "STALE\\n");
        www_challenge("{domain}", "17");
        exit;
    }}
    if ($hdr(Expires) != "0" && $(hdr(Expires){{s.int}}) < {least}) {{
        xlog("L_ALERT", "TOO BRIEF $hdr(Expires)\\n");
        append_to_reply("Min-Expires: {least}\\r\\n");
        sl_send_reply("423", "Interval Too Brief");
        exit;
    }}
    xlog("L_ALERT", "SAVED $hdr(Expires)\\n");
    if (!save("location")) {{ sl_reply_error(); }}
}}
"""
_TLS: Final = """
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{file}")
modparam("tls", "private_key", "{file}")
modparam("tls", "ca_list", "{authority}")
modparam("tls", "verify_certificate", 1)
modparam("tls", "require_certificate", 0)
"""
_QUESTION: Final = (
    "OPTIONS sip:{host}:{port} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{number};rport\r\n"
    "Max-Forwards: 1\r\nFrom: <sip:test@{here}>;tag=t\r\nTo: <sip:{host}:{port}>\r\n"
    "Call-ID: {number}@{here}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


class Registrar:
    """A running one."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def said(self) -> list[str]:
        """What it did with registrations, in order."""
        marks = ("STALE", "TOO BRIEF", "SAVED")
        lines = self._log.read_text(errors="replace").splitlines()
        found = (line[line.find(mark) :] for line in lines for mark in marks if mark in line)
        return list(found)


@asynccontextmanager
async def registrar(
    folder: Path,
    port: int,
    *,
    transport: Transport = Transport.UDP,
    certificate: tuple[Path, Path] | None = None,
    algorithm: str = "SHA-256",
    least: int = 120,
) -> AsyncIterator[Registrar]:
    """Runs until the end of the block, and all that it knows of registrations ends with it.

    It takes UDP at `port`, and `transport` at the same port.  `certificate`: its file, and that of its
    authority.  `least`: seconds of a registration.
    """
    listen = [f"listen=udp:{HOST}:{port}"]
    if transport is not Transport.UDP:
        listen.append(f"listen={transport.value.lower()}:{HOST}:{port}")
    tls = ""
    if certificate is not None:
        listen.append("enable_tls=yes")
        tls = _TLS.format(file=certificate[0], authority=certificate[1])
    folder.mkdir()
    config, log = folder / "kamailio.cfg", folder / "kamailio.log"
    config.write_text(
        _CONFIG.format(
            listen="\n".join(listen),
            domain=DOMAIN,
            user=USER,
            password=PASSWORD,
            algorithm=algorithm,
            least=least,
            tls=tls,
        )
    )
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *("kamailio", "-DD", "-E", "-m", "32", "-f", str(config), "-Y", str(folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        await _answers(process, port, log)
        yield Registrar(log)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _answers(process: asyncio.subprocess.Process, port: int, log: Path) -> None:
    """Asks until there is an answer."""
    loop = asyncio.get_running_loop()
    number = 0
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            number += 1
            assert process.returncode is None, f"Kamailio did not start: {log.read_text()[-2000:]}"
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.setblocking(False)
                sock.connect((HOST, port))
                here = "{}:{}".format(*sock.getsockname())
                question = _QUESTION.format(host=HOST, port=port, here=here, number=number)
                try:
                    await loop.sock_sendall(sock, question.encode())
                    async with asyncio.timeout(0.2):
                        await loop.sock_recv(sock, 2_048)
                except (TimeoutError, ConnectionRefusedError):
                    await asyncio.sleep(0.02)
                else:
                    return
