import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const top = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const to = 'example.org/team/chatpass';

function run(folder, command, ...args) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  assert.equal(status, 0, `${command} ${args.join(' ')} in ${folder}:\n${stdout}${stderr}`);
  return stdout;
}

test('the whole tree builds under another module path, and a service uses it', (t) => {
  const copy = mkdtempSync(join(tmpdir(), 'chatpass-path-'));
  t.after(() => rmSync(copy, { recursive: true, force: true }));
  const listed = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: top, encoding: 'utf8' });
  for (const path of listed.split('\0').filter(Boolean)) cpSync(join(top, path), join(copy, path), { force: true });

  run(copy, 'make', '-s', 'module-path', `TO=${to}`);
  run(copy, 'go', 'build', './...');
  for (const module of ['.', 'e2e', 'bench', 'verify/grpc']) {
    run(join(copy, module), 'go', 'vet', './...');
    const imports = run(join(copy, module), 'go', 'list', '-test', '-f', '{{join .Imports "\\n"}}', './...');
    assert.doesNotMatch(imports, /^chatpass\b/m);
    assert.match(imports, new RegExp(`^${to}/`, 'm'));
  }
  run(copy, 'go', 'test', '-count=1', '.'); // the house plan holds
  assert.match(readFileSync(join(copy, 'docs/verify.md'), 'utf8'), new RegExp(`import "${to}/verify"`));
  assert.match(readFileSync(join(copy, 'README.md'), 'utf8'), new RegExp(`replace ${to} =>`));

  run(copy, 'make', '-s', 'module-path', 'TO=chatpass.example'); // from there to elsewhere
  run(join(copy, 'verify/grpc'), 'go', 'vet', './...');
});

test('a path that is none changes nothing', () => {
  for (const path of ['', 'chatpass', 'https://example.org/chatpass', 'example.org/a b', '../x']) {
    const { status, stderr } = spawnSync('node', [join(top, '.ci/module-path.mjs'), path], { cwd: tmpdir(), encoding: 'utf8' });
    assert.equal(status, 2, path);
    assert.match(stderr, /is not a module path/);
  }
});
