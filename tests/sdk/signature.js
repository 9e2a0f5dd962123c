// Reads {sdk, url, body, token, secret} from standard input and has the SDK's own validator judge the signature.
'use strict';
const { createSecretKey } = require('crypto');
const fs = require('fs');

const given = JSON.parse(fs.readFileSync(0, 'utf8'));
const { verify } = require(given.sdk + '/lib/webhook-signature-jwt');
verify(given.url, Buffer.from(given.body, 'utf8'), given.token, createSecretKey(Buffer.from(given.secret, 'utf8')))
  .then(() => process.stdout.write('valid'), (error) => process.stdout.write(String(error)));
