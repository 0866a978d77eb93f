// What holds whatever happens: sleeps, clocks that are set, hidden and frozen tabs, outages.
// CHATPASS_CALLS sets how many provider calls are made (default 20,000; the promise is about 10⁶).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine, Service, page, refusal } from './service.mjs';

const CALLS = Number(process.env.CHATPASS_CALLS ?? 20_000);
const CALLS_A_RUN = 250;
const WAIT = 8;

const faults = [
  () => null,
  () => new TypeError('network'),
  () => refusal(503, 'CP-901', 'later', { retry_after: 5 }),
  () => refusal(429, 'CP-703', 'later'),
  () => ({ status: 401, text: '<html>' }),
];

/** One life of a browser with up to three tabs. `outages`: the service fails now and then. */
class Run {
  calls = 0;
  expired = 0;
  without = 0;
  leastLeft = Infinity;
  longestWait = 0;
  wrongCount = 0;
  asked = [];

  constructor(seed, outages) {
    this.machine = new Machine(seed);
    this.rnd = this.machine.random;
    this.outages = outages;
    // One clock may lie, not both at once: either the monotonic clock stands still in sleep or the wall clock is set back.
    this.perfSleeps = this.rnd() < 0.5;
    this.service = Object.assign(new Service(this.machine), { customer: 'c-1' });
    this.service.special['/v1/context'] = () => this.fault ? this.fault() : { ...this.service.grant(200), delay: this.rnd() * 400 };
    this.service.renewIn = 300 + this.rnd() * 120;
    this.pages = Array.from({ length: 1 + Math.floor(this.rnd() * 3) }, () => page(this.service));
  }

  pick(list) {
    return list[Math.floor(this.rnd() * list.length)];
  }

  call(p) {
    const { machine, service } = this;
    const asked = { at: machine.awake, answers: 0 };
    this.asked.push(asked);
    this.calls++;
    p.chat.contextProvider(context => {
      asked.answers++;
      this.longestWait = Math.max(this.longestWait, (machine.awake - asked.at) / 1000);
      if (!context.Auth) return void this.without++;
      const left = (service.ends.get(context.Auth.Token) - machine.time) / 1000;
      if (left <= 0) this.expired++;
      this.leastLeft = Math.min(this.leastLeft, left);
    }, this.rnd() < 0.03);
  }

  async step() {
    const { machine, rnd } = this;
    const p = this.pick(this.pages);
    const dice = rnd();
    if (dice < 0.03) machine.sleep(rnd() * (rnd() < 0.2 ? 20000 : 900), this.perfSleeps);
    else if (dice < 0.06) machine.jump(this.perfSleeps ? rnd() * 600 : (rnd() - 0.5) * 1200);
    else if (dice < 0.10) rnd() < 0.5 ? p.tab.hide() : p.tab.show();
    else if (dice < 0.12) p.tab.frozen ? p.tab.thaw() : p.tab.visibility === 'hidden' && p.tab.freeze();
    else if (dice < 0.14 && this.outages) this.fault = rnd() < 0.5 ? this.pick(faults) : undefined;
    else if (dice < 0.16 && this.outages) rnd() < 0.3 ? p.tab.goOffline() : p.tab.goOnline();
    else if (dice < 0.20) p.tab.click();
    else if (!p.tab.frozen) this.call(p);
    await machine.advance(rnd() < 0.5 ? rnd() * 0.3 : rnd() * (rnd() < 0.1 ? 200 : 10));
  }

  async run() {
    while (this.calls < CALLS_A_RUN) await this.step();
    for (const p of this.pages) p.tab.frozen && p.tab.thaw();
    await this.machine.advance(WAIT + 1);
    this.wrongCount = this.asked.filter(a => a.answers !== 1).length;
    this.states = this.pages.map(p => p.chat.state);
    this.prompts = this.pages.flatMap(p => p.tab.opened).length;
    this.ended = this.pages.flatMap(p => p.of('state')).filter(e => ['LOGIN_NEEDED', 'SIGNED_OUT', 'MISMATCH', 'FATAL', 'ANON'].includes(e.state)).length;
    return this;
  }
}

async function runs(outages) {
  const all = [];
  for (let seed = 1; all.length * CALLS_A_RUN < CALLS / 2; seed++) all.push(await new Run(seed * 7919, outages).run());
  const sum = name => all.reduce((n, r) => n + r[name], 0);
  return {
    calls: sum('calls'), expired: sum('expired'), without: sum('without'), wrongCount: sum('wrongCount'),
    prompts: sum('prompts'), ended: sum('ended'),
    leastLeft: Math.min(...all.map(r => r.leastLeft)), longestWait: Math.max(...all.map(r => r.longestWait)),
  };
}

for (const outages of [false, true]) {
  test(`${CALLS / 2} provider calls, service ${outages ? 'failing now and then' : 'reachable'}`, async t => {
    const r = await runs(outages);
    t.diagnostic(`counted: ${outages ? 'service failing' : 'service reachable'}: ${r.expired} expired contexts, at least ${r.leastLeft.toFixed(1)} s left, at most ${r.longestWait.toFixed(1)} s waited, ${r.prompts} prompts`);
    assert.equal(r.expired, 0, 'expired contexts handed out');
    assert.equal(r.wrongCount, 0, 'calls that were not answered exactly once');
    assert.ok(r.longestWait <= WAIT + 0.01, `longest wait ${r.longestWait} s`);
    assert.equal(r.ended, 0, 'sessions that seemed to end');
    assert.equal(r.prompts, 0, 'prompts');
    if (outages) return;
    assert.ok(r.leastLeft >= 55, `least life at hand-over ${r.leastLeft} s`);
    assert.equal(r.without, 0, 'calls without a context');
  });
}
