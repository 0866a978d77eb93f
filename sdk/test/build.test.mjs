// What is shipped: built from this source, small, typed, and told apart by its version.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runInNewContext } from 'node:vm';
import { gzipSync } from 'node:zlib';
import { output } from '../build.mjs';

const here = fileURLToPath(new URL('..', import.meta.url));
const read = name => readFileSync(join(here, name), 'utf8');
const BUDGETS = { 'chatpass.js': 6144, 'chatpass.iife.js': 6144, 'chatpass-prompt.js': 5120, 'chatpass-prompt.iife.js': 5120 };

test('dist is what the source builds to, and the types are right', async () => {
  const built = await output();
  assert.deepEqual(readdirSync(join(here, 'dist')).sort(), [...built.keys()].sort());
  for (const [name, text] of built) assert.ok(read('dist/' + name) === text, `dist/${name} is stale: npm run build`);
});

for (const [name, budget] of Object.entries(BUDGETS)) {
  test(`${name} is at most ${budget} bytes, minified and gzipped, and needs nothing else`, t => {
    const script = read('dist/' + name);
    const size = gzipSync(script, { level: 9 }).length;
    t.diagnostic(`${name}: ${script.length} bytes minified, ${size} gzipped`);
    assert.ok(size <= budget, `${size} bytes`);
    assert.doesNotMatch(script, /\bimport\b/);
    assert.equal(JSON.parse(read('package.json')).dependencies, undefined);
  });
}

test('one version everywhere', () => {
  const { version } = JSON.parse(read('package.json'));
  assert.equal(JSON.parse(read('package-lock.json')).version, version);
  assert.match(read('src/version.js'), new RegExp(`VERSION = '${version}'`));
  assert.match(read('sdk.go'), new RegExp(`Version = "${version}"`));
});

test('the lock file is exact and names no registry', () => {
  const { devDependencies } = JSON.parse(read('package.json'));
  assert.deepEqual(devDependencies, { esbuild: '0.28.2', terser: '5.51.2', typescript: '7.0.2' });
  assert.doesNotMatch(read('package-lock.json'), /"resolved"|https?:/);
});

test('the classic script defines Chatpass.create and nothing else', () => {
  const page = {};
  runInNewContext(read('dist/chatpass.iife.js'), page);
  assert.deepEqual(Object.keys(page), ['Chatpass']);
  assert.deepEqual(Object.keys(page.Chatpass), ['create']);
  assert.throws(() => page.Chatpass.create({}), /clientId/);
});

test('importing has no effect, and creating needs a browser', async () => {
  const { create, ...rest } = await import('../dist/chatpass.js');
  assert.deepEqual(rest, {});
  assert.throws(() => create({ clientId: 'web-1', authHost: 'https://auth.example.com' }));
});

test('source maps lead to the source', () => {
  for (const name of ['chatpass.js', 'chatpass.iife.js']) {
    assert.match(read('dist/' + name), new RegExp(`//# sourceMappingURL=${name}\\.map\\s*$`));
    const { sources, sourcesContent } = JSON.parse(read(`dist/${name}.map`));
    sources.forEach((source, i) => assert.equal(sourcesContent[i], read(join('dist', source))));
  }
});

/** The compiler's complaints about a page written in TypeScript. */
function complaints(page) {
  const dir = mkdtempSync(join(tmpdir(), 'chatpass-page-'));
  try {
    writeFileSync(join(dir, 'chatpass.d.ts'), read('dist/chatpass.d.ts'));
    writeFileSync(join(dir, 'page.ts'), `import { create } from './chatpass';\n${page}`);
    execFileSync(join(here, 'node_modules/.bin/tsc'), ['--strict', '--noEmit', '--module', 'esnext', '--target', 'es2022', 'page.ts'], { cwd: dir, encoding: 'utf8', stdio: 'pipe' });
    return '';
  } catch (e) {
    return e.stdout || String(e);
  } finally {
    rmSync(dir, { recursive: true });
  }
}

test('the types stand alone, accept what the README shows and refuse what is wrong', () => {
  assert.doesNotMatch(read('dist/chatpass.d.ts'), /\bimport\b|\benv\b/);
  assert.equal(complaints(`
    declare const ASAPP: (command: string, ...args: any[]) => void;
    const chat = create({ clientId: 'web-1', authHost: 'https://auth.example.com' });
    chat.attach(ASAPP, { APIHostname: 'h', AppId: 'a' });
    chat.on('state', ({ state, reason }) => state === 'READY' && reason?.length);
    chat.on('expiring', e => e.expiresIn.toFixed());
    const who: Promise<{ customerId: string } | null> = chat.ready;
    const token: Promise<string | null> = chat.getToken({ force: true });
    chat.onToken((token, info) => token && info!.renewIn);
    if (chat.login({ idp: 'corp' }) === 'POPUP_BLOCKED') chat.logout({ scope: 'global' }).then(r => r.endSessionUrl);
  `), '');
  for (const wrong of [
    `create({ clientId: 'web-1' });`,
    `create({ clientId: 'a', authHost: 'b' }).on('nothing', () => {});`,
    `create({ clientId: 'a', authHost: 'b' }).login({ idb: 'x' });`,
    `create({ clientId: 'a', authHost: 'b' }).state === 'READDY';`,
  ]) assert.match(complaints(wrong), /error TS/, wrong);
});
