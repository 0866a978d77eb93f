// Measures the ContextProvider of the built SDK: a context at hand, and one that the chat side refused and that
// is renewed over HTTP, beside a bare fetch of the same answer.
//
//   node sdk/bench.mjs
import { createServer } from 'node:http';
import { Machine, Service, Tab, create, ready } from './test/service.mjs';

const CALLS = 100_000;
const FORCED = 200;
const DELAYS = [0, 50]; // ms that the network takes

const quantile = (all, q) => all.toSorted((a, b) => a - b)[Math.min(all.length - 1, Math.floor(all.length * q))];

await measureCached();
for (const delay of DELAYS) await measureForced(delay);

async function measureCached() {
  const { chat } = await ready();
  const took = [];
  let synchronous = 0;
  for (let i = 0; i < CALLS; i++) {
    const began = performance.now();
    chat.contextProvider(() => synchronous++);
    took.push(performance.now() - began);
    if (synchronous !== i + 1) throw new Error('not synchronous');
  }
  console.log(`at hand           p50 ${us(quantile(took, 0.5))}, p99 ${us(quantile(took, 0.99))}, max ${us(quantile(took, 1))}; ${synchronous} of ${CALLS} synchronous`);
}

async function measureForced(delay) {
  const service = Object.assign(new Service(new Machine()), { customer: 'c-1' });
  const server = createServer((request, response) => {
    request.resume().on('end', () => setTimeout(() => {
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify(service.grant(200).body));
    }, delay));
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  const url = `http://localhost:${server.address().port}`;
  const [bare, forced] = [[], []];
  for (let i = 0; i < FORCED; i++) {
    bare.push(await timed(() => fetch(`${url}/v1/context`, { method: 'POST', body: '{}' }).then(answer => answer.json())));
    forced.push(await timed(await refused(url)));
  }
  server.close();
  server.closeAllConnections();
  const [b, f] = [quantile(bare, 0.95), quantile(forced, 0.95)];
  console.log(`refused, ${String(delay).padStart(2)} ms     p50 ${quantile(forced, 0.5).toFixed(2)} ms, p95 ${f.toFixed(2)} ms; bare fetch p95 ${b.toFixed(2)} ms: ${(f - b).toFixed(2)} ms more`);
}

/** A new page whose context was given once: what its widget calls when that is refused. */
async function refused(url) {
  const tab = new Tab(new Machine());
  const idle = (fn, ms) => setTimeout(fn, ms).unref(); // a page of the past keeps nobody here
  const own = { performance, Date, setTimeout: idle, clearTimeout, AbortSignal, fetch };
  const chat = create({ clientId: 'web-1', authHost: url, env: Object.assign(tab.env, own) });
  await chat.ready;
  chat.contextProvider(() => {});
  return () => new Promise((done, fail) => chat.contextProvider(context => (context.Auth ? done() : fail(new Error('no context'))), true));
}

async function timed(work) {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

function us(ms) {
  return `${(ms * 1000).toFixed(1)} µs`;
}
