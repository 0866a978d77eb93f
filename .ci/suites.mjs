// Runs the project's tests, suite by suite, and closes with one line: N passed, N failed, N skipped.
// Prints a line a package, and everything a failed test said. A test that was skipped or did not end
// counts against the run: the exit code is 0 only if every test ran and passed.
//
//   node .ci/suites.mjs [SUITE...]    SUITE as named in the table below; default all
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { withPostgres } from './postgres.mjs';

// The race detector costs five to ten times the time: it runs where goroutines share state.
const racing = ['jwks', 'oidc', 'keys', 'session', 'status', 'exchange', 'server', 'verify'];

const module = spawnSync('go', ['list', '-m'], { encoding: 'utf8' }).stdout.trim();

const suites = {
  rooms: () => goTest('.', rooms().filter((room) => !racing.includes(room))),
  race: () => goTest('.', ['-race', ...rooms().filter((room) => racing.includes(room))]),
  hsm: () => goTest('.', ['-race', '-tags=pkcs11', '-run=HSM', 'keys', 'keys/pkcs11', 'cmd/chatpass']),
  'module-path': () => nodeTest('.ci'),
  sdk: () => nodeTest('sdk'),
  'verify-grpc': () => goTest('verify/grpc', ['-race', '.']),
  'verify-node': () => nodeTest('verify/node'),
  demo: () => nodeTest('demo'),
  e2e: () => goTest('e2e', ['-count=1', '-timeout=15m', '.'], { CHATPASS_E2E_STORE: 'sqlite' }),
  'e2e-postgres': () => goTest('e2e', ['-count=1', '-timeout=15m', '.'], { CHATPASS_E2E_STORE: 'postgres' }),
  browser: () => nodeTest('e2e', { CHATPASS_E2E_STORE: 'sqlite' }),
  'browser-postgres': () => nodeTest('e2e/browser/provider.test.mjs', { CHATPASS_E2E_STORE: 'postgres' }), // the demo has a store of its own
};

const total = { passed: 0, failed: 0, skipped: 0 };
process.env.CHATPASS ??= resolve('bin/chatpass'); // the built binary, for e2e
await withPostgres(async () => {
  for (const suite of process.argv.length > 2 ? process.argv.slice(2) : Object.keys(suites)) {
    console.log(`\n${suite}`);
    await suites[suite]();
  }
});
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.passed > 0 && total.failed + total.skipped === 0 ? 0 : 1);

// rooms lists the packages of the module as ./folder or, for the top level, "."
function rooms() {
  const { status, stdout, stderr } = spawnSync('go', ['list', '-e', './...'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`go list: ${stderr}`);
  return stdout.trim().split('\n').map((path) => path.slice(module.length + 1) || '.');
}

function line(name, { passed, failed, skipped }, seconds) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  const rest = (failed ? `, ${failed} failed` : '') + (skipped ? `, ${skipped} skipped` : '');
  console.log(`  ${failed + skipped ? 'FAIL' : 'ok  '} ${name.padEnd(24)} ${passed} passed${rest}  ${seconds.toFixed(1)} s`);
}

// goTest runs `go test -json` in folder and counts tests without subtests, and subtests.
async function goTest(folder, args, env = {}) {
  const packages = args.map((arg) => (/^[-.]/.test(arg) ? arg : `./${arg}`));
  const go = spawn('go', ['test', '-json', ...packages], { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => go.once('close', done));
  const runs = new Map(); // by package
  const run = (name) => runs.get(name) ?? runs.set(name, { tests: new Map(), said: '' }).get(name);
  const before = total.failed;
  for await (const text of createInterface({ input: go.stdout })) {
    if (!text.startsWith('{')) {
      console.log(text);
      continue;
    }
    const event = JSON.parse(text);
    if (event.Action === 'build-output') process.stdout.write(event.Output);
    if (!event.Package) continue;
    const pkg = run(event.Package);
    if (event.Test) record(pkg, event);
    else if (event.Action === 'output') pkg.said += event.Output;
    else if (/^(pass|fail|skip)$/.test(event.Action)) report(event, pkg, folder);
  }
  if ((await ended) !== 0 && total.failed === before) line(`go test in ${folder}`, { passed: 0, failed: 1, skipped: 0 }, 0);
}

function record({ tests }, { Action, Test, Output = '' }) {
  const test = tests.get(Test) ?? tests.set(Test, { result: 'unfinished', said: '' }).get(Test);
  if (/^(pass|fail|skip)$/.test(Action)) test.result = Action;
  test.said += Output;
}

function report({ Package, Action, Elapsed }, { tests, said }, folder) {
  const names = [...tests.keys()];
  const below = (parent) => names.filter((name) => name.startsWith(parent + '/'));
  const failed = (name) => /fail|unfinished/.test(tests.get(name).result);
  const count = { passed: 0, failed: 0, skipped: 0 };
  for (const name of names) {
    const subtests = below(name);
    if (tests.get(name).result !== 'pass') process.stdout.write(tests.get(name).said);
    if (failed(name)) count.failed += subtests.some(failed) ? 0 : 1;
    else if (tests.get(name).result === 'skip') count.skipped++;
    else if (subtests.length === 0) count.passed++;
  }
  if (Action === 'fail') process.stdout.write(said);
  if (Action === 'fail' && count.failed === 0) count.failed = 1; // it did not build, or ended outside of its tests
  if (names.length || count.failed) line(folder === '.' ? Package.slice(module.length + 1) || Package : Package, count, Elapsed);
}

// nodeTest runs every *.test.mjs below folder, or that one.
async function nodeTest(folder, env = {}) {
  const files = testFiles(folder);
  if (files.length === 0) return line(folder, { passed: 0, failed: 1, skipped: 0 }, 0);
  const start = Date.now();
  const node = spawn(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [node.stdout, node.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const code = await new Promise((done) => node.once('close', done));
  const n = (word) => Number(said.match(new RegExp(`^ℹ ${word} (\\d+)$`, 'm'))?.[1] ?? 0);
  const count = { passed: n('pass'), failed: n('fail') + n('cancelled'), skipped: n('skipped') + n('todo') };
  if (count.failed === 0 && (code !== 0 || count.passed === 0)) count.failed = 1; // it broke, or ran no test
  if (count.failed + count.skipped) console.log(said.slice(Math.max(0, said.indexOf('✖ failing tests:'))));
  line(folder, count, (Date.now() - start) / 1000);
}

function testFiles(folder) {
  if (folder.endsWith('.test.mjs')) return [folder];
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules')
    .flatMap((entry) => (entry.isDirectory() ? testFiles(join(folder, entry.name)) : entry.name.endsWith('.test.mjs') ? [join(folder, entry.name)] : []));
}
