// Runs the recipes of docs/verify-elsewhere.md as they are printed there. Those of Envoy and Istio: e2e/recipes_test.go.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { createPrivateKey } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { CompactSign } from 'jose';
import { claims } from '../vectors/cases.mjs';

const run = promisify(execFile);
const guide = readFileSync(new URL('../../../docs/verify-elsewhere.md', import.meta.url), 'utf8');
const { keys } = JSON.parse(readFileSync(new URL('../vectors/test-keys.json', import.meta.url)));
const published = ['es256', 'es384', 'eddsa', 'ps256', 'rs256'];
const folder = mkdtempSync(join(tmpdir(), 'recipes-'));
chmodSync(folder, 0o755); // Apache's children run as somebody else
let server, issuer;

before(async () => {
  symlinkSync(new URL('../node_modules', import.meta.url).pathname, join(folder, 'node_modules'));
  for (const name of ['verify.mjs', 'verify.py']) writeFileSync(join(folder, name), recipe(name));
  server = createServer(publish);
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  issuer = `http://127.0.0.1:${server.address().port}`;
});

after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true });
});

/** The block of the guide that begins with a comment of that name. */
function recipe(name) {
  const found = [...guide.matchAll(/^```\w+\n(.*?)^```/gms)].filter(([, text]) => new RegExp(`^(//|#) ${name}\\b`).test(text));
  assert.equal(found.length, 1, name);
  return found[0][1];
}

function publish(_, res) {
  res.end(JSON.stringify({ keys: published.map(publicHalf) }));
}

function publicHalf(name) {
  const { d, p, q, dp, dq, qi, ...open } = keys[name];
  return open;
}

function context(change = {}, { key = 'es256', header = {} } = {}) {
  const now = Math.floor(Date.now() / 1000);
  const payload = JSON.stringify({ ...claims, iss: issuer, iat: now, exp: now + 600, ...change });
  return new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: keys[key].alg, kid: keys[key].kid, typ: 'at+jwt', ...header })
    .sign(createPrivateKey({ key: keys[key], format: 'jwk' }));
}

const encode = (object) => Buffer.from(JSON.stringify(object)).toString('base64url');

/** Contexts by name, and whether a recipe must accept them. */
async function contexts() {
  const good = await Promise.all(published.map(async (key) => [key, await context({}, { key }), true]));
  const [, payload] = good[0][1].split('.');
  return [
    ...good,
    ['audience in a list', await context({ aud: ['x', claims.aud] }), true],
    ['of a session that ended: known to pass', await context({ status: { status_list: { idx: 7, uri: `${issuer}/status/list-1` } } }), true],
    ['chat version 2: known to pass', await context({ chat: { ver: 2, app: 'support' } }), true],
    ['expired within the leeway', await context({ exp: Math.floor(Date.now() / 1000) - 5 }), true],
    ['expired', await context({ exp: claims.exp }), false],
    ['not yet valid', await context({ nbf: Math.floor(Date.now() / 1000) + 600 }), false],
    ['another issuer', await context({ iss: 'https://evil.example' }), false],
    ['an audience that begins like ours', await context({ aud: `${claims.aud}.evil.example` }), false],
    ['another audience', await context({ aud: 'https://other.example.com' }), false],
    ['no sub', await context({ sub: undefined }), false],
    ['no jti', await context({ jti: undefined }), false],
    ['no client_id', await context({ client_id: undefined }), false],
    ['no chat', await context({ chat: undefined }), false],
    ['scope missing', await context({ scope: 'chat:write' }), false],
    ['an ID token', await context({}, { header: { typ: 'JWT' } }), false],
    ['signed by a stranger', await context({}, { key: 'stranger' }), false],
    ['kid of nobody', await context({}, { header: { kid: 'nobody' } }), false],
    ['alg none', `${encode({ alg: 'none', kid: 'test-es256', typ: 'at+jwt' })}.${payload}.`, false],
    ['key of another algorithm', await context({}, { key: 'ps256', header: { alg: 'RS256' } }), false],
    ['nonsense', 'a.b.c', false],
  ];
}

function same(all, verdicts) {
  assert.deepEqual(all.map(([name], i) => [name, verdicts[i]]), all.map(([name, , accepted]) => [name, accepted]));
}

async function judged(command, args) {
  const all = await contexts();
  const { stdout } = await run(command, [...args, issuer, claims.aud, JSON.stringify(all.map(([, token]) => token))], { cwd: folder });
  same(all, JSON.parse(stdout));
}

test('Node.js with jose alone', async () => {
  writeFileSync(join(folder, 'run.mjs'), `
    import { verifier } from './verify.mjs';
    const [issuer, audience, tokens] = process.argv.slice(2);
    const verify = verifier(issuer, audience);
    const verdicts = [];
    for (const token of JSON.parse(tokens)) verdicts.push(await verify(token, 'chat:read').then(() => true, () => false));
    console.log(JSON.stringify(verdicts));
  `);
  await judged(process.execPath, ['run.mjs']);
});

test('Python with PyJWT', async () => {
  writeFileSync(join(folder, 'run.py'), `
import json, sys
import jwt
from verify import Verifier

verifier = Verifier(*sys.argv[1:3])

def accepted(token):
    try:
        verifier.verify(token, "chat:read")
        return True
    except jwt.PyJWTError:
        return False

print(json.dumps([accepted(token) for token in json.loads(sys.argv[3])]))
`);
  await judged('/usr/bin/python3', ['run.py']);
});

/** Serves the keys by TLS as well, and returns the address and the file of the certificate. */
async function secured(t) {
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', key, '-out', cert,
    '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1']);
  const tls = createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }, publish);
  await new Promise((done) => tls.listen(0, '127.0.0.1', done));
  t.after(() => (tls.closeAllConnections(), tls.close()));
  return { keys: `https://127.0.0.1:${tls.address().port}`, cert };
}

/** A free port of this machine. */
async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}

/** Runs Apache with the recipe before that service until the test ends, and returns its address. */
async function apache(t, service) {
  const port = await freePort();
  const { keys: from, cert } = await secured(t);
  const modules = ['mpm_event', 'authn_core', 'authz_core', 'proxy', 'proxy_http', 'auth_openidc'];
  writeFileSync(join(folder, 'whole.conf'), [
    ...modules.map((name) => `LoadModule ${name}_module /usr/lib/apache2/modules/mod_${name}.so`),
    `ServerRoot ${folder}`, 'ServerName localhost', `Listen 127.0.0.1:${port}`, 'PidFile httpd.pid', 'ErrorLog error.log', `DefaultRuntimeDir ${folder}`,
    ...(process.getuid() === 0 ? ['User www-data', 'Group www-data'] : []),
    `OIDCCABundlePath ${cert}`,
    recipe('apache.conf').replace(`${claims.iss}/.well-known`, `${from}/.well-known`).replaceAll(claims.iss, issuer).replace('http://127.0.0.1:3000', service),
  ].join('\n'));
  const child = spawn('/usr/sbin/apache2', ['-f', join(folder, 'whole.conf'), '-D', 'FOREGROUND'], { stdio: 'inherit' });
  const ended = new Promise((done) => child.once('exit', done));
  t.after(() => (child.kill(), ended));
  const address = `http://127.0.0.1:${port}/`;
  for (const deadline = Date.now() + 20_000; ; await pause(50)) {
    const up = await fetch(address).then(() => true, () => false);
    if (up) return address;
    assert.ok(Date.now() < deadline && child.exitCode === null, `Apache does not start: ${readFileSync(join(folder, 'error.log'), { flag: 'a+' })}`);
  }
}

test('Apache with mod_auth_openidc', async (t) => {
  const behind = createServer((req, res) => res.end(JSON.stringify(req.headers)));
  await new Promise((done) => behind.listen(0, '127.0.0.1', done));
  t.after(() => (behind.closeAllConnections(), behind.close()));
  const address = await apache(t, `http://127.0.0.1:${behind.address().port}`);
  const ask = (token) => fetch(address, { headers: { ...(token && { Authorization: `Bearer ${token}` }), OIDC_CLAIM_sub: 'mallory', 'OIDC-CLAIM-sub': 'mallory' } });
  const known = {
    eddsa: false, 'expired within the leeway': false, 'chat version 2: known to pass': false,
    'not yet valid': true, 'an ID token': true, 'key of another algorithm': true,
  };
  const all = (await contexts()).map(([name, token, accepted]) => [name, token, known[name] ?? accepted]);
  same(all, await Promise.all(all.map(async ([, token]) => (await ask(token)).status === 200)));
  assert.equal((await ask()).status, 401);
  const heard = Object.entries(await (await ask(await context())).json()).filter(([name]) => /^oidc.claim.sub$/.test(name));
  assert.deepEqual(heard, [['oidc_claim_sub', claims.sub]]);
});
