// Exchanges an ID token as a Node.js backend would, with npm openid-client and nothing of ours. Reads
// {subjectToken, parameters} and what configure takes as JSON from standard input. Prints {"tokens"}, or
// what such a backend learns of the failure: {"status"} and the body of our answer.
import { json } from 'node:stream/consumers';
import * as openid from 'openid-client';
import { configure } from './config.mjs';

const { subjectToken, parameters, ...client } = await json(process.stdin);
const config = await configure(client);
try {
  const tokens = await openid.genericGrantRequest(config, 'urn:ietf:params:oauth:grant-type:token-exchange', {
    subject_token: subjectToken,
    subject_token_type: 'urn:ietf:params:oauth:token-type:id_token',
    ...parameters,
  });
  console.log(JSON.stringify({ tokens }));
} catch (err) {
  console.log(JSON.stringify(await failure(err)));
}

// failure finds our answer in an error: openid-client parses the body of a 4xx only, and of none that
// has a challenge.
async function failure(err) {
  const response = err.response ?? err.cause;
  if (!(response instanceof Response)) throw err;
  const body = err instanceof openid.ResponseBodyError ? err.cause : await response.json();
  return { ...body, status: response.status };
}
