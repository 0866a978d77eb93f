// Runs the project's tests, suite by suite, and closes with one line: N passed, N failed, N skipped.
// Prints a line a package, and everything a failed test said. A test that was skipped or did not end
// counts against the run: the exit code is 0 only if every test ran and passed.
//
//   node .ci/suites.mjs [SUITE...]    SUITE as named in the table below; default all, in two lanes
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { withPostgres } from './postgres.mjs';

// The race detector costs five to ten times the time: it runs where goroutines share state.
const racing = ['jwks', 'oidc', 'keys', 'session', 'status', 'exchange', 'server', 'verify'];

const module = spawnSync('go', ['list', '-m'], { encoding: 'utf8' }).stdout.trim();

const suites = {
  rooms: (tell) => goTest(tell, '.', rooms().filter((room) => !racing.includes(room))),
  race: (tell) => goTest(tell, '.', ['-race', ...rooms().filter((room) => racing.includes(room))]),
  hsm: (tell) => goTest(tell, '.', ['-race', '-tags=pkcs11', '-run=HSM', 'keys', 'keys/pkcs11', 'cmd/chatpass']),
  'module-path': (tell) => nodeTest(tell, '.ci'),
  sdk: (tell) => nodeTest(tell, 'sdk'),
  'verify-grpc': (tell) => goTest(tell, 'verify/grpc', ['-race', '.']),
  'verify-node': (tell) => nodeTest(tell, 'verify/node'),
  demo: (tell) => nodeTest(tell, 'demo'),
  e2e: (tell) => goTest(tell, 'e2e', ['-count=1', '-timeout=15m', '.'], { CHATPASS_E2E_STORE: 'sqlite' }),
  'e2e-postgres': (tell) => goTest(tell, 'e2e', ['-count=1', '-timeout=15m', '.'], { CHATPASS_E2E_STORE: 'postgres' }),
  browser: (tell) => nodeTest(tell, 'e2e', { CHATPASS_E2E_STORE: 'sqlite' }),
  'browser-postgres': (tell) => nodeTest(tell, 'e2e/browser/provider.test.mjs', { CHATPASS_E2E_STORE: 'postgres' }), // the demo has a store of its own
};

// Two suites run at a time: most of what processes and browsers do in tests is to wait.
const lanes = [
  ['rooms', 'race', 'hsm', 'e2e-postgres'],
  ['sdk', 'verify-grpc', 'verify-node', 'demo', 'module-path', 'browser', 'browser-postgres', 'e2e'],
];

const total = { passed: 0, failed: 0, skipped: 0 };
process.env.CHATPASS ??= resolve('bin/chatpass'); // the built binary, for e2e
await withPostgres(async () => {
  const asked = process.argv.slice(2);
  await Promise.all((asked.length ? [asked] : lanes).map(async (lane) => {
    for (const suite of lane) await suites[suite]((name, count, seconds) => line(suite, name, count, seconds));
  }));
});
console.log(`\n${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.passed > 0 && total.failed + total.skipped === 0 ? 0 : 1);

// rooms lists the packages of the module as ./folder or, for the top level, "."
function rooms() {
  const { status, stdout, stderr } = spawnSync('go', ['list', '-e', './...'], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`go list: ${stderr}`);
  return stdout.trim().split('\n').map((path) => path.slice(module.length + 1) || '.');
}

function line(suite, name, { passed, failed, skipped }, seconds) {
  total.passed += passed;
  total.failed += failed;
  total.skipped += skipped;
  const rest = (failed ? `, ${failed} failed` : '') + (skipped ? `, ${skipped} skipped` : '');
  console.log(`  ${failed + skipped ? 'FAIL' : 'ok  '} ${suite.padEnd(16)} ${name.padEnd(24)} ${passed} passed${rest}  ${seconds.toFixed(1)} s`);
}

// goTest runs `go test -json` in folder, counts tests without subtests, and subtests, and tells of each package.
async function goTest(tell, folder, args, env = {}) {
  const packages = args.map((arg) => (/^[-.]/.test(arg) ? arg : `./${arg}`));
  const go = spawn('go', ['test', '-json', ...packages], { cwd: folder, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => go.once('close', done));
  const runs = new Map(); // by package
  const run = (name) => runs.get(name) ?? runs.set(name, { tests: new Map(), said: '' }).get(name);
  let failed = 0;
  const say = (name, count, seconds) => {
    failed += count.failed;
    tell(name, count, seconds);
  };
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
    else if (/^(pass|fail|skip)$/.test(event.Action)) report(say, event, pkg, folder);
  }
  if ((await ended) !== 0 && failed === 0) tell(`go test in ${folder}`, { passed: 0, failed: 1, skipped: 0 }, 0);
}

function record({ tests }, { Action, Test, Output = '' }) {
  const test = tests.get(Test) ?? tests.set(Test, { result: 'unfinished', said: '' }).get(Test);
  if (/^(pass|fail|skip)$/.test(Action)) test.result = Action;
  test.said += Output;
}

function report(tell, { Package, Action, Elapsed }, { tests, said }, folder) {
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
  if (names.length || count.failed) tell(folder === '.' ? Package.slice(module.length + 1) || Package : Package, count, Elapsed);
}

// nodeTest runs every *.test.mjs below folder, or that one.
async function nodeTest(tell, folder, env = {}) {
  const files = testFiles(folder);
  if (files.length === 0) return tell(folder, { passed: 0, failed: 1, skipped: 0 }, 0);
  const start = Date.now();
  const node = spawn(process.execPath, ['--test', '--test-concurrency=1', '--test-reporter=spec', ...files], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [node.stdout, node.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
  const code = await new Promise((done) => node.once('close', done));
  const n = (word) => Number(said.match(new RegExp(`^ℹ ${word} (\\d+)$`, 'm'))?.[1] ?? 0);
  const count = { passed: n('pass'), failed: n('fail') + n('cancelled'), skipped: n('skipped') + n('todo') };
  if (count.failed === 0 && (code !== 0 || count.passed === 0)) count.failed = 1; // it broke, or ran no test
  if (count.failed + count.skipped) console.log(said.slice(Math.max(0, said.indexOf('✖ failing tests:'))));
  tell(folder, count, (Date.now() - start) / 1000);
}

function testFiles(folder) {
  if (folder.endsWith('.test.mjs')) return [folder];
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.name !== 'node_modules')
    .flatMap((entry) => (entry.isDirectory() ? testFiles(join(folder, entry.name)) : entry.name.endsWith('.test.mjs') ? [join(folder, entry.name)] : []));
}
