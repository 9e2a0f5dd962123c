// Runs MessageBird's SDK for Node over the whole voice, voice message and verify surface of a platform.
//
// Reads one JSON object from standard input: {base, key, source, destination, sdk}.  Prints one JSON object:
// what the SDK gave back, by step.  The SDK has its hosts built in, so `https.request` is pointed at the platform.
'use strict';
const http = require('http');
const https = require('https');
const fs = require('fs');

const given = JSON.parse(fs.readFileSync(0, 'utf8'));
const platform = new URL(given.base);
https.request = (options) => {
  const headers = Object.assign({}, options.headers, { Host: options.hostname });
  return http.request({ method: options.method, path: options.path, headers,
    hostname: platform.hostname, port: platform.port });
};
const client = require(given.sdk).initClient(given.key, 15000);

const ask = (method, ...args) => new Promise((resolve, reject) =>
  method(...args, (error, answer) => error ? reject(error) : resolve(answer)));
const refused = (method, ...args) => ask(method, ...args).then(
  () => { throw new Error('this should have been refused'); },
  (error) => ({ status: error.statusCode, errors: error.errors }));
const bodies = (name) => Object.assign({ title: name }, {
  record: false, steps: [{ action: 'say', options: { payload: 'Hello', language: 'en-GB', voice: 'female' } }] });

// The SDK lists neither legs nor waits: both are done with plain requests.
const get = async (path) => (await fetch(given.base + path, {
  headers: { Authorization: 'AccessKey ' + given.key } })).json();
const until = async (what, good) => {
  for (let tries = 0; tries < 300; tries += 1) {
    const found = await what();
    if (good(found)) return found;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('waited too long for ' + what);
};

async function main() {
  const seen = {};
  seen.balance = await ask(client.balance.read);

  seen.flow = await ask(client.callflows.create, bodies('From Node'));
  const flow = seen.flow.data[0].id;
  seen.flowRead = await ask(client.callflows.read, flow);
  seen.flowUpdate = await ask(client.callflows.update, flow, bodies('Changed'));
  seen.flowList = await ask(client.callflows.list, 1, 5);
  seen.flowDelete = await ask(client.callflows.delete, flow);
  seen.flowGone = await refused(client.callflows.read, flow);
  seen.flowFaulty = await refused(client.callflows.create, { steps: [{ action: 'dance' }] });

  seen.hook = await ask(client.voice.webhooks.create, { url: 'https://example.com/hook', token: 'secret' });
  const hook = seen.hook.data[0].id;
  seen.hookRead = await ask(client.voice.webhooks.read, hook);
  seen.hookUpdate = await ask(client.voice.webhooks.update, hook, { url: 'https://example.com/other' });
  seen.hookList = await ask(client.voice.webhooks.list, 10, 0);
  seen.hookDelete = await ask(client.voice.webhooks.delete, hook);

  const say = { action: 'say', options: { payload: 'This is a test', language: 'en-GB', voice: 'male',
    ifMachine: 'continue' } };
  const record = { action: 'record', options: { maxLength: 2 } };
  seen.call = await ask(client.calls.create, { source: given.source, destination: given.destination,
    callFlow: { title: 'A call', steps: [say, record] } });
  const call = seen.call.data[0].id;
  seen.callList = await ask(client.calls.list);
  seen.callEnd = await until(() => ask(client.calls.read, call), (answer) => answer.data[0].endedAt);
  seen.legs = await get('/calls/' + call + '/legs');
  const leg = seen.legs.data[0].id;
  seen.recordings = await until(() => ask(client.recordings.list, call, leg, 10, 0),
    (answer) => answer.data.length && answer.data[0].status === 'done');
  const recording = seen.recordings.data[0].id;
  seen.recording = await ask(client.recordings.read, call, leg, recording);
  seen.wavLength = (await ask(client.recordings.download, call, leg, recording)).length;
  seen.transcription = await ask(client.transcriptions.create, call, leg, recording, 'en-US');
  const transcription = seen.transcription.data[0].id;
  seen.transcriptionList = await ask(client.transcriptions.list, call, leg, recording);
  seen.transcriptionEnd = await until(
    () => ask(client.transcriptions.read, call, leg, recording, transcription),
    (answer) => ['done', 'failed'].includes(answer.data[0].status));
  seen.text = await ask(client.transcriptions.download, call, leg, recording, transcription);
  seen.recordingDelete = await ask(client.recordings.delete, call, leg, recording);

  seen.second = await ask(client.calls.create, { source: given.source, destination: given.destination,
    callFlow: { steps: [{ action: 'pause', options: { length: 60 } }] } });
  const second = seen.second.data[0].id;
  await until(() => ask(client.calls.read, second), (answer) => answer.data[0].status === 'ongoing');
  seen.secondDelete = await ask(client.calls.delete, second);
  seen.secondEnd = await until(() => ask(client.calls.read, second), (answer) => answer.data[0].endedAt);

  const later = new Date(Date.now() + 3600e3).toISOString().replace(/\.\d+Z/, '+00:00');
  seen.message = await ask(client.voice_messages.create, { recipients: [given.destination],
    originator: given.source, body: 'Hello', language: 'en-gb', scheduledDatetime: later });
  seen.messageRead = await ask(client.voice_messages.read, seen.message.id);
  seen.messageList = await ask(client.voice_messages.list, 10, 0);
  seen.messageDelete = await ask(client.voice_messages.delete, seen.message.id);

  seen.verify = await ask(client.verify.create, given.destination,
    { type: 'tts', originator: given.source, maxAttempts: 3, returnToken: true });
  seen.verifyRead = await ask(client.verify.read, seen.verify.id);
  const wrong = seen.verify.token === '111111' ? '222222' : '111111';
  seen.verifyWrong = await refused(client.verify.verify, seen.verify.id, wrong);
  seen.verifyEmpty = await refused(client.verify.verify, seen.verify.id, '');
  seen.verified = await ask(client.verify.verify, seen.verify.id, seen.verify.token);
  await ask(client.calls.delete, seen.verify.messages.id);
  seen.verifyDelete = await ask(client.verify.delete, seen.verify.id);
  seen.verifySms = await refused(client.verify.create, given.destination, { type: 'sms' });
  return seen;
}

main().then((seen) => process.stdout.write(JSON.stringify(seen)), (error) => {
  process.stderr.write(error.stack + ' ' + JSON.stringify(error.errors || '') + '\n');
  process.exit(1);
});
