"""A voice mailbox: answers calls with callflows, and hears what happens.  docs/api.md tells how to run it."""

import json
import os
from aiohttp import web
from messagebird.request_validator import RequestValidator

VALIDATOR = RequestValidator(os.environ["SIGNING_KEY"])
KEY = {"onKeypressVar": "choice", "onKeypressGoto": "chosen"}

def say(text, **more):
    return {"action": "say", "options": {"payload": text, "language": "en-GB", "voice": "female"}, **more}

@web.middleware
async def signed(request, handler):
    url = f"{request.scheme}://{request.host}{request.raw_path}"
    VALIDATOR.validate_signature(request.headers["MessageBird-Signature-JWT"], url, await request.read())
    return await handler(request)

async def welcome(request):
    record = {"maxLength": 60, "finishOnKey": "#", "onFinish": f"http://{request.host}/thanks"}
    is_one = {"variable": "choice", "operator": "==", "value": "1"}
    return web.json_response({"title": "Mailbox", "steps": [
        say("Welcome. Press one to leave a message.", **KEY), {"action": "pause", "options": {"length": 10}, **KEY},
        {"id": "chosen", "action": "record", "options": record, "conditions": [is_one]}, say("Goodbye.")]})

async def thanks(request):
    recording = json.loads(await request.read())
    return web.json_response({"steps": [say(f"Thank you. We kept {recording['duration']} seconds.")]})

async def events(request):
    for item in (await request.json())["items"]:
        print(item["event"], item["payload"]["id"], item["payload"].get("status"), flush=True)
    return web.Response()

app = web.Application(middlewares=[signed])
app.add_routes([web.get("/flow", welcome), web.post("/thanks", thanks), web.post("/events", events)])
web.run_app(app, host=os.environ.get("HOST", "127.0.0.1"), port=int(os.environ.get("PORT", "8090")), print=None)
