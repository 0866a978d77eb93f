// Runs a command with a PostgreSQL server of its own on 127.0.0.1, whose URL (a superuser's) it finds in
// CHATPASS_TEST_POSTGRES. The server and its folder go when the command ends, however that comes about.
// If the variable is set already, that server is used.
//
//   node .ci/postgres.mjs COMMAND...    such as: node .ci/postgres.mjs go test ./store/...
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chownSync, existsSync, mkdtempSync, readFileSync, readdirSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import os from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

const root = process.getuid() === 0;
const settings = { listen_addresses: '127.0.0.1', unix_socket_directories: '', max_connections: 300 };

// withPostgres does work while a server runs.
export async function withPostgres(work) {
  if (process.env.CHATPASS_TEST_POSTGRES) return work();
  const server = await start();
  process.env.CHATPASS_TEST_POSTGRES = server.url;
  try {
    return await work();
  } finally {
    await server.stop();
  }
}

async function start() {
  const folder = mkdtempSync(join(os.tmpdir(), 'chatpass-postgres-'));
  const password = randomBytes(16).toString('hex');
  const [data, secret, log] = ['data', 'password', 'log'].map((name) => join(folder, name));
  writeFileSync(secret, password, { mode: 0o600 });
  if (root) for (const path of [folder, secret]) chownSync(path, id('-u'), id('-g'));
  const initdb = ['-D', data, '-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${secret}`, '-E', 'UTF8', '--locale=C', '--no-sync'];
  const made = spawnSync(...asServer(join(programs(), 'initdb'), ...initdb), { encoding: 'utf8', cwd: '/' });
  if (made.status !== 0) throw new Error(`initdb: ${made.error ?? made.stderr}`);

  const port = await freePort();
  const server = guarded(folder, log, [join(programs(), 'postgres'), '-D', data, '-p', String(port), ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])]);
  const ended = new Promise((done) => server.once('close', done));
  await answering(port, server, log);
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${port}/postgres?sslmode=disable`,
    stop: () => (server.stdin.end(), ended),
  };
}

// guarded starts the server below a shell that outlives us, even if we are killed: it waits for the end
// of its input, then ends the server and removes the folder. It is no part of our process group, so
// that an interrupt from the terminal does not reach it.
function guarded(folder, log, command) {
  const script = 'folder=$1 log=$2; shift 2; "$@" </dev/null >"$log" 2>&1 & server=$!; cat >/dev/null; kill -INT $server; wait $server; rm -rf "$folder"';
  return spawn(...asServer('sh', '-c', script, 'sh', folder, log, ...command), { stdio: ['pipe', 'ignore', 'ignore'], detached: true, cwd: '/' });
}

async function answering(port, server, log) {
  for (const end = Date.now() + 30_000; ; await pause(50)) {
    if (spawnSync(join(programs(), 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)]).status === 0) return;
    if (Date.now() > end) {
      server.stdin.end();
      throw new Error(`PostgreSQL does not start: ${existsSync(log) ? readFileSync(log, 'utf8') : 'it has no log'}`);
    }
  }
}

// programs is the folder of the newest PostgreSQL of this machine.
function programs() {
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => b - a) : [];
  const found = versions.map((version) => join(debian, version, 'bin')).find((folder) => existsSync(join(folder, 'postgres')));
  if (found) return found;
  const path = spawnSync('sh', ['-c', 'command -v postgres'], { encoding: 'utf8' }).stdout.trim();
  if (!path) throw new Error('PostgreSQL is not installed; .ci/prepare does it');
  return dirname(realpathSync(path));
}

// asServer is how to run a command as the user of the server, which refuses to run as root.
function asServer(command, ...args) {
  return root ? ['runuser', ['-u', 'postgres', '--', command, ...args]] : [command, args];
}

function id(what) {
  return Number(spawnSync('id', [what, 'postgres'], { encoding: 'utf8' }).stdout);
}

function freePort() {
  return new Promise((done, fail) => {
    const probe = createServer().once('error', fail);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [command, ...args] = process.argv.slice(2);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {}); // the command ends, then we do
  process.exitCode = await withPostgres(
    () =>
      new Promise((done, fail) => {
        const child = spawn(command, args, { stdio: 'inherit' }).once('error', fail);
        for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
        child.once('close', (code) => done(code ?? 1));
      }),
  );
}
