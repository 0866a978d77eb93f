// Runs the long forms of the tests, one after the other, and writes docs/soak.md: what ran, how much of
// it, and what came out. Takes more than an hour. SOAK_SECONDS is the time for each fuzz target,
// SOAK_CHECKS the cases of each property, SOAK_CALLS those of the SDK, SOAK_ROUNDS those of the binary,
// SOAK_KILLS how often it is killed while it changes keys, SOAK_CONTEXTS how many are signed in the random
// histories of the key ring, SOAK_OUTAGE the seconds without a database, SOAK_MINUTES those of key changes under load
// (half an hour makes a million contexts).
import { spawn } from 'node:child_process';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { join, resolve } from 'node:path';
import { withPostgres } from './postgres.mjs';

const seconds = Number(process.env.SOAK_SECONDS ?? 60);
const checks = Number(process.env.SOAK_CHECKS ?? 5_000);
const calls = Number(process.env.SOAK_CALLS ?? 1_000_000);
const rounds = Number(process.env.SOAK_ROUNDS ?? 20);
const contexts = Number(process.env.SOAK_CONTEXTS ?? 1_000_000);
const kills = Number(process.env.SOAK_KILLS ?? 200);
const outage = Number(process.env.SOAK_OUTAGE ?? 60);
const minutes = Number(process.env.SOAK_MINUTES ?? 5);
process.env.CHATPASS ??= resolve('bin/chatpass');

const kit = /\/\w+test$/; // folders of conformance kits
const sources = goTests('.');
const inPackages = (pattern) => sources.flatMap(({ folder, text }) => [...text.matchAll(pattern)].map((match) => ({ folder, name: match[1] })));
const folders = (pattern) => [...new Set(inPackages(pattern).map(({ folder }) => folder))].sort();

const rows = [];
const figures = [];
await withPostgres(async () => {
  for (const folder of folders(/rapid\.(?:Check|MakeCheck)\b/g)) {
    await row(`properties of ${folder}`, `${checks} cases each`, ['go', 'test', '-count=1', '-timeout=30m', `./${folder}`, `-rapid.checks=${checks}`]);
  }
  for (const { folder, name } of inPackages(/^func (Fuzz\w+)/gm)) {
    const { said } = await row(`${name} of ${folder}`, `${seconds} s`, ['go', 'test', '-run=^$', `-fuzz=^${name}$`, `-fuzztime=${seconds}s`, `./${folder}`]);
    const executions = [...said.matchAll(/execs: (\d+)/g)].at(-1)?.[1];
    if (executions) rows.at(-1).amount += `, ${Number(executions).toLocaleString('en')} inputs`;
  }
  await row('three kinds of verifier in random histories of the key ring', `${contexts.toLocaleString('en')} contexts`, ['go', 'test', '-count=1', '-v', '-timeout=90m', '-run=NoVerifierNotices', './keys'], '.', { CHATPASS_CONTEXTS: contexts });
  await row('SDK with random clocks, sleeps and networks', `${calls.toLocaleString('en')} calls`, ['node', '--test', 'sdk/test/property.test.mjs'], '.', { CHATPASS_CALLS: calls });
  await row('SDK in ten tabs of working days', '1,000 days', ['node', '--test', 'sdk/test/shift.test.mjs'], '.', { CHATPASS_DAYS: 1000 });
  await row('termination and kill of the built binary', `${rounds} rounds`, ['go', 'test', `-count=${rounds}`, '-timeout=30m', '-run=Termination|SessionsSurviveKill', '.'], 'e2e');
  await row('replicas that race and are killed', `${rounds} rounds`, ['go', 'test', `-count=${rounds}`, '-timeout=60m', '-run=Replicas(Have|Let|Keep|Outlive)', '.'], 'e2e', { CHATPASS_E2E_STORE: 'postgres' });
  await row('three replicas that renew without a database', `${outage} s`, ['go', 'test', '-count=1', '-v', '-timeout=30m', '-run=ReplicasRenewThrough', '.'], 'e2e', { CHATPASS_E2E_STORE: 'postgres', CHATPASS_OUTAGE_SECONDS: outage });
  await row('three replicas that change keys under load', `${minutes} times a minute`, ['go', 'test', `-count=${minutes}`, '-v', '-timeout=120m', '-run=ReplicasRotate', '.'], 'e2e', { CHATPASS_E2E_STORE: 'postgres', CHATPASS_LIVE_SECONDS: 60 });
  await row('three replicas that give keys up under load', '10 keys', ['go', 'test', '-count=1', '-v', '-timeout=30m', '-run=ReplicasGive', '.'], 'e2e', { CHATPASS_E2E_STORE: 'postgres', CHATPASS_EMERGENCIES: 10 });
  for (const store of ['sqlite', 'postgres']) {
    await row(`kill -9 while keys change: ${store}`, `${kills} kills`, ['go', 'test', '-count=1', '-v', '-timeout=30m', '-run=RotationSurvivesKill', '.'], 'e2e', { CHATPASS_E2E_STORE: store, CHATPASS_KILLS: kills });
  }

  for (const folder of folders(/^func (Benchmark\w+)/gm)) figures.push(await benchmark('.', `./${folder}`));
  for (const store of ['sqlite', 'postgres']) figures.push([`store: ${store}`, ...(await benchmark('e2e', '.', { CHATPASS_E2E_STORE: store }))]);
});

writeFileSync('docs/soak.md', report(figures.flat()));
console.log(`wrote docs/soak.md: ${rows.filter((r) => r.ok).length} of ${rows.length} passed`);
process.exit(rows.every((r) => r.ok) ? 0 : 1);

function goTests(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return /^(node_modules|e2e|bench|\..*)$/.test(entry.name) ? [] : goTests(path);
    if (!entry.name.endsWith('_test.go') && !(kit.test(folder) && entry.name.endsWith('.go'))) return [];
    return [{ folder: folder.replace(kit, ''), text: readFileSync(path, 'utf8') }]; // a kit runs in the room above it
  });
}

async function row(what, amount, command, cwd = '.', env = {}) {
  const start = Date.now();
  const { code, said } = await run(command, cwd, env);
  const ok = code === 0;
  const counted = [...said.matchAll(/ counted: (.*)/g)].map((match) => `; ${match[1]}`).join(''); // what a test says it has done
  rows.push({ what, amount: amount + counted, ok, took: Math.round((Date.now() - start) / 1000) });
  console.log(`${ok ? 'ok  ' : 'FAIL'} ${what}`);
  if (!ok) console.log(said);
  return { said };
}

async function benchmark(cwd, packages, env = {}) {
  const { code, said } = await run(['go', 'test', '-run=^$', '-bench=.', '-benchmem', '-timeout=30m', packages], cwd, env);
  if (code !== 0) throw new Error(said);
  return said.split('\n').filter((line) => /^(pkg:|Benchmark)/.test(line));
}

function run([command, ...args], cwd, env = {}) {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (said += text));
    child.once('close', (code) => done({ code, said }));
  });
}

function report(figures) {
  const machine = `${os.cpus().length} × ${os.cpus()[0].model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()}`;
  const line = ({ what, amount, ok, took }) => `| ${what} | ${amount} | ${ok ? 'passed' : '**failed**'} | ${took} s |`;
  return `# Soak

Written by \`make soak\` on ${new Date().toISOString().slice(0, 10)}: ${machine}.

| what | how much | result | time |
|---|---|---|---|
${rows.map(line).join('\n')}

## Figures

\`\`\`
${figures.join('\n')}
\`\`\`
`;
}
