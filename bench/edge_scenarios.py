"""What the programs of `bench.edge` are told: sipp's scenarios, the node's configuration, Kamailio's."""

from __future__ import annotations

from typing import Final

from bench.nodes import HOST, NUMBER, PASSWORD, USER

_SDP: Final = """v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio 40000 RTP/AVP 8
a=rtpmap:8 PCMA/8000
"""


def _invite(cseq: int, credentials: str) -> str:
    return f"""INVITE sip:{NUMBER}@{HOST} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
Max-Forwards: 70
From: <sip:{USER}@{HOST}>;tag=[pid]-[call_number]
To: <sip:{NUMBER}@{HOST}>
Call-ID: [call_id]
CSeq: {cseq} INVITE
{credentials}Contact: <sip:{USER}@[local_ip]:[local_port]>
Content-Type: application/sdp
Content-Length: [len]

{_SDP}"""


def _follow_up(method: str, cseq: int) -> str:
    return f"""{method} [next_url] SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
[routes]
Max-Forwards: 70
From: <sip:{USER}@{HOST}>;tag=[pid]-[call_number]
To: <sip:{NUMBER}@{HOST}>[peer_tag_param]
Call-ID: [call_id]
CSeq: {cseq} {method}
Content-Length: 0
"""


PBX: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="PBX">
  <send retrans="500"><![CDATA[

{_invite(1, "")}
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="407" auth="true"/>
  <send><![CDATA[

ACK sip:{NUMBER}@{HOST} SIP/2.0
Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-3];rport
Max-Forwards: 70
From: <sip:{USER}@{HOST}>;tag=[pid]-[call_number]
To: <sip:{NUMBER}@{HOST}>[peer_tag_param]
Call-ID: [call_id]
CSeq: 1 ACK
Content-Length: 0

  ]]></send>
  <send retrans="500"><![CDATA[

{_invite(2, f"[authentication username={USER} password={PASSWORD}]" + chr(10))}
  ]]></send>
  <recv response="100" optional="true"/>
  <recv response="180" optional="true"/>
  <recv response="200" rrs="true"/>
  <send><![CDATA[

{_follow_up("ACK", 2)}
  ]]></send>
  <send retrans="500"><![CDATA[

{_follow_up("BYE", 3)}
  ]]></send>
  <recv response="200"/>
</scenario>
"""


def _answer(status: str, more: str, body: str) -> str:
    return f"""SIP/2.0 {status}
[last_Via:]
[last_Record-Route:]
[last_From:]
[last_To:];tag=[pid]c[call_number]
[last_Call-ID:]
[last_CSeq:]
{more}Content-Length: [len]

{body}"""


_CONTACT: Final = "Contact: <sip:carrier@[local_ip]:[local_port]>\n"

CARRIER: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<scenario name="carrier">
  <recv request="INVITE" crlf="true"/>
  <send><![CDATA[

{_answer("180 Ringing", _CONTACT, "")}
  ]]></send>
  <send retrans="500"><![CDATA[

{_answer("200 OK", _CONTACT + "Content-Type: application/sdp" + chr(10), _SDP)}
  ]]></send>
  <recv request="ACK" optional="true" rtd="true" crlf="true"/>
  <recv request="BYE"/>
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


def toml(port: int, inside: int, gateway: int) -> str:
    """A node whose one customer has a plain trunk; its ACL has networks, so that strangers can be told."""
    return f"""
[node]
base_domain = "sip.example.com"
data_directory = "data"
log_level = "warning"
[node.api]
enabled = false

[node.sip]
udp = ["127.0.0.1:{port}"]
tcp = []
inside = "127.0.0.1:{inside}"
[node.media]
address = "127.0.0.1"
[node.pool]
warm_reserve = 1
max_processes = 1
[accounts.acme]
calls_per_second = 10000
concurrent_calls = 100000
[accounts.acme.acls.office]
networks = ["127.0.0.1/32"]
sip_accounts.{USER}.password = "{PASSWORD}"
[accounts.acme.domains.acme]
acls = ["office"]
[gateways.carrier]
host = "127.0.0.1"
port = {gateway}
"""


KAMAILIO: Final = f"""#!KAMAILIO
debug=0
log_stderror=no
children=1
disable_tcp=yes
listen=udp:127.0.0.1:{{port}}
mpath="/usr/lib/x86_64-linux-gnu/kamailio/modules/"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "auth.so"
loadmodule "maxfwd.so"
loadmodule "siputils.so"
loadmodule "textops.so"
modparam("auth", "nonce_expire", 300)
request_route {{{{
    if (!mf_process_maxfwd_header("70")) {{{{ sl_send_reply("483", "Too Many Hops"); exit; }}}}
    if (has_totag()) {{{{
        if (loose_route()) {{{{ t_relay(); exit; }}}}
        if (is_method("ACK") && t_check_trans()) {{{{ t_relay(); }}}}
        exit;
    }}}}
    if (is_method("CANCEL")) {{{{ if (t_check_trans()) t_relay(); exit; }}}}
    if (!is_method("INVITE")) {{{{ sl_send_reply("200", "OK"); exit; }}}}
    if (t_check_trans()) exit;
    if (!pv_proxy_authenticate("sip.example.com", "{PASSWORD}", "0")) {{{{
        proxy_challenge("sip.example.com", "1");
        exit;
    }}}}
    consume_credentials();
    record_route();
    $du = "sip:127.0.0.1:{{gateway}}";
    t_relay();
}}}}
"""
