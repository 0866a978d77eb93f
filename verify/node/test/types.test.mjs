import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));
const tsc = join(here, 'node_modules/.bin/tsc');

test('the types are right', () => {
  execFileSync(tsc, ['-p', here], { encoding: 'utf8' });
});

const head = `
import { RejectedError, Verifier } from '../src/verifier.mjs';
import { createServer } from 'node:http';
const verifier = new Verifier({ issuer: 'https://chat-auth.example.com', audience: 'https://api.example.com', demand: { acr: ['gold'] } });
const guard = verifier.require({ maxAuthAge: 300, conversation: true }).middleware('chat:read');
createServer((req, res) => guard(req, res, () => res.end('ok')));
`;

test('a service is told what is wrong with its use', (t) => {
  const folder = mkdtempSync(join(here, 'test/types-'));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', compilerOptions: { noUnusedLocals: false }, include: ['*.mjs'] }));
  const complaints = (line) => {
    writeFileSync(join(folder, 'service.mjs'), `${head.replace('../src', '../../src')}\n${line}\n`);
    return spawnSync(tsc, ['-p', folder], { encoding: 'utf8' }).stdout.match(/TS\d+/g) ?? [];
  };
  for (const good of ["(await verifier.verify('')).chat.conversation?.length;", "new RejectedError('unbound', '').demand.acr?.length;"]) {
    assert.deepEqual(complaints(good), []);
  }
  for (const wrong of [
    "new Verifier({ issuer: 'https://chat-auth.example.com' });", 'verifier.require({ maxAuthAge: "5m" });', 'verifier.require({ scope: [] });',
    "(await verifier.verify('')).conversation;", "(await verifier.verify('')).acr.length;", "new RejectedError('late', '');",
  ]) assert.equal(complaints(wrong).length, 1, wrong);
});
