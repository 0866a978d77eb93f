// Starts the built binary for tests, and ends it with them.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const binary = process.env.CHATPASS;
if (!binary) throw new Error('the environment variable CHATPASS must name the built binary: make build, then CHATPASS=$PWD/bin/chatpass');

// serve runs `chatpass serve` on the address listen until the test t ends, and resolves when it is
// ready. Browsers find it at the URL issuer. The rest of the configuration is the caller's. Its store is a new one of the kind that the
// environment variable CHATPASS_E2E_STORE names: sqlite (default) or postgres. What it resolves to has operate,
// which runs another command of chatpass with that configuration.
export async function serve(t, listen, env, configuration, issuer = urlOf(listen)) {
  const dir = mkdtempSync(join(tmpdir(), 'chatpass-e2e-'));
  const admin = await freeAddress();
  const config = join(dir, 'chatpass.yaml');
  const store = newStore(dir);
  execFileSync(binary, ['secret', 'new', '-o', join(dir, 'master.json')]);
  writeFileSync(config, `issuer: ${issuer}
listen: ${listen}
admin_listen: ${admin}
store: ${store.setting}
master_key: file:${dir}/master.json
${configuration}`);
  const service = run(t, dir, ['serve', '-c', config], env);
  service.operate = (...args) => execFileSync(binary, [...args, '-c', config], { env: { ...process.env, ...env }, encoding: 'utf8' });
  t.after(store.drop); // after the service has ended
  await until('the service is ready', async () => {
    if (service.exitCode !== null) throw new Ended(`chatpass serve ended:\n${service.said}`);
    return (await fetch(`http://${admin}/readyz`)).ok;
  });
  return service;
}

// newStore is what a configuration in dir says of its store, and how to be rid of what lies outside of dir.
function newStore(dir) {
  if ((process.env.CHATPASS_E2E_STORE ?? 'sqlite') === 'sqlite') return { setting: `sqlite:${dir}/chatpass.db`, drop() {} };
  const url = new URL(process.env.CHATPASS_TEST_POSTGRES);
  const psql = (sql) => execFileSync('psql', [process.env.CHATPASS_TEST_POSTGRES, '-Xqc', sql]);
  url.pathname = `e2e_${randomBytes(8).toString('hex')}`;
  psql(`CREATE DATABASE ${url.pathname.slice(1)}`);
  writeFileSync(join(dir, 'store'), url.href, { mode: 0o600 }); // no configuration holds a password
  return { setting: `file:${dir}/store`, drop: () => psql(`DROP DATABASE ${url.pathname.slice(1)} WITH (FORCE)`) };
}

// demo runs `chatpass demo` on free ports and resolves to the URLs it prints.
export async function demo(t) {
  const dir = mkdtempSync(join(tmpdir(), 'chatpass-e2e-'));
  const program = run(t, dir, ['demo', '--port', '0', '--data', dir]);
  const url = (name) => program.said.match(new RegExp(`^\\W*${name}\\b.*?(http://\\S+)`, 'im'))?.[1].replace(/[/.]*$/, '');
  const urls = () => ({ service: url('service'), issuer: url('identity provider'), shop: url('shop') });
  await until('the demo says where it is', () => {
    if (program.exitCode !== null) throw new Ended(`chatpass demo ended:\n${program.said}`);
    return Object.values(urls()).every(Boolean);
  });
  return { ...urls(), program };
}

// run starts the binary; it ends with the test t, with exit code 0, and its folder goes.
function run(t, dir, args, env = {}) {
  const child = spawn(binary, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  child.said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (child.said += text));
  child.ended = new Promise((resolve) => child.once('exit', resolve));
  t.after(async () => {
    child.kill('SIGTERM');
    const code = await child.ended;
    rmSync(dir, { recursive: true });
    if (code !== 0) throw new Error(`chatpass ${args[0]}: exit code ${code}\n${child.said}`);
  });
  return child;
}

// urlOf is where a browser finds an address: pages and service share the host localhost, hence the site.
export const urlOf = (address) => `http://${address.replace('127.0.0.1', 'localhost')}`;

// freeAddress is a loopback address that nobody listens on. Its port is none of those that the system gives to
// whoever connects somewhere: one of these may be taken again before we listen on it.
export async function freeAddress() {
  for (;;) {
    const port = randomInt(10_000, 30_000);
    const server = net.createServer();
    const free = await new Promise((resolve) => server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true)));
    if (!free) continue;
    await new Promise((resolve) => server.close(resolve));
    return `127.0.0.1:${port}`;
  }
}

// steps returns a function that runs one step of a story as a subtest of t. A step that fails shows what
// say returns, and the steps after it fail at once.
export function steps(t, say) {
  let broken = false;
  return (name, step) => t.test(name, async () => {
    if (broken) throw new Error('an earlier step failed');
    try {
      await step();
    } catch (err) {
      broken = true;
      throw new Error(await say(), { cause: err });
    }
  });
}

class Ended extends Error {}

// until asks until the answer is truthy, and returns it. An answer that fails counts as a no.
export async function until(what, ask, seconds = 30) {
  const deadline = Date.now() + seconds * 1000;
  for (let last; ; ) {
    try {
      const answer = await ask();
      if (answer) return answer;
    } catch (err) {
      if (err instanceof Ended) throw err;
      last = err;
    }
    if (Date.now() > deadline) throw new Error(`waited ${seconds} s until ${what}`, { cause: last });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
