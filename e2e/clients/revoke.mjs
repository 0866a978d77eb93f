// Revokes a token as a Node.js backend would, and introspects it before and after. Reads {token} and
// what configure takes as JSON from standard input. Prints {"before", "after"}.
import { json } from 'node:stream/consumers';
import * as openid from 'openid-client';
import { configure } from './config.mjs';

const { token, ...client } = await json(process.stdin);
const config = await configure(client);
const before = await openid.tokenIntrospection(config, token);
await openid.tokenRevocation(config, token);
console.log(JSON.stringify({ before, after: await openid.tokenIntrospection(config, token) }));
