"""A voice mailbox: answers calls with callflows, and hears what happens.  README.md tells how to run it."""

import json
import os

from aiohttp import web
from messagebird.request_validator import RequestValidator

VALIDATOR = RequestValidator(os.environ["SIGNING_KEY"])
WELCOME = """<CallFlow title="Mailbox">
  <Say language="en-GB" onKeypressVar="key" onKeypressGoto="take">Press one to leave a message.</Say>
  <Pause length="10" onKeypressVar="key" onKeypressGoto="take"/>
  <Record id="take" maxLength="60" finishOnKey="#" onFinish="http://{host}/thanks">
    <Condition variable="key" operator="==" value="1"/>
  </Record>
  <Say language="en-GB">Goodbye.</Say>
</CallFlow>"""
THANKS = '<Say language="en-GB">Thank you. We kept {duration} seconds.</Say>'


@web.middleware
async def signed(request, handler):
    url = f"{request.scheme}://{request.host}{request.raw_path}"
    VALIDATOR.validate_signature(request.headers["MessageBird-Signature-JWT"], url, await request.read())
    return await handler(request)


async def welcome(request):
    return web.Response(text=WELCOME.format(host=request.host), content_type="application/xml")


async def thanks(request):
    return web.Response(text=THANKS.format(**json.loads(await request.read())))


async def events(request):
    for item in (await request.json())["items"]:
        print(item["event"], item["payload"]["id"], item["payload"].get("status"), flush=True)
    return web.Response()


app = web.Application(middlewares=[signed])
app.add_routes([web.get("/flow", welcome), web.post("/thanks", thanks), web.post("/events", events)])
web.run_app(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8090")), print=None)
