// A person's working day, in ten tabs: what it asks of them, and of the service.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Machine, Service, page, refusal } from './service.mjs';

const DAYS = Number(process.env.CHATPASS_DAYS ?? 20);
const MINUTE = 60;

/** The service with its session's limits: an hour without activity, ten hours in all. */
class Sessions extends Service {
  begun = undefined;
  active = 0;

  now = () => this.machine.time / 1000;

  signIn() {
    this.customer = 'c-1';
    this.begun = this.active = this.now();
  }

  context(body) {
    const [idle, all] = [this.now() - this.active, this.now() - this.begun];
    if (idle >= 60 * MINUTE || all >= 600 * MINUTE) return refusal(401, idle >= 60 * MINUTE ? 'CP-402' : 'CP-403', 'login');
    if (body.activity === 'active') this.active = this.now();
    this.renewIn = 300 + this.machine.random() * 120;
    this.sessionEnds = 600 * MINUTE - all;
    const answer = super.context(body);
    answer.body.session.idle_expires_in = 60 * MINUTE - (this.now() - this.active);
    return answer;
  }
}

/** One day: types now and then in one tab or another, eats for 55 minutes, closes the lid six times. */
class Day {
  requests = 0;
  without = 0;
  ended = 0;

  constructor(seed) {
    this.machine = new Machine(seed);
    this.service = new Sessions(this.machine);
    this.service.signIn();
    this.pages = Array.from({ length: 10 }, () => page(this.service));
    this.pages.slice(1).forEach(p => p.tab.hide());
    this.seen = this.pages[0];
    this.end = this.machine.time + 480 * MINUTE * 1000;
    this.pauses = [{ at: 240, sleeps: false, minutes: 55 }];
    for (const at of [30, 90, 150, 300, 400, 450]) this.pauses.push({ at, sleeps: true, minutes: 2 + this.machine.random() * 20 });
    for (let i = 0; i < 2; i++) this.pauses.push({ at: 100 + i * 200, offline: true, minutes: 5 });
    this.pauses.sort((a, b) => a.at - b.at);
  }

  turnTo(p) {
    this.seen.tab.hide();
    this.seen = p;
    p.tab.show();
  }

  /** A question: some keystrokes, each of which asks for a context. */
  async write() {
    for (let key = 0; key < 20; key++) {
      this.seen.tab.click();
      this.seen.chat.contextProvider(context => context.Auth || this.without++);
      await this.machine.advance(0.3);
    }
  }

  async pause({ sleeps, offline, minutes }) {
    await this.write();
    if (sleeps) this.machine.sleep(minutes * MINUTE);
    else {
      if (offline) this.pages.forEach(p => p.tab.goOffline());
      await this.machine.advance(minutes * MINUTE);
      if (offline) this.pages.forEach(p => p.tab.goOnline());
    }
    await this.machine.advance(3);
    await this.write();
  }

  async run() {
    const { machine } = this;
    const began = machine.time;
    await machine.advance(1);
    while (machine.time < this.end) {
      if (this.pauses.length && machine.time - began > this.pauses[0].at * MINUTE * 1000) await this.pause(this.pauses.shift());
      if (machine.random() < 0.2) this.turnTo(this.pages[Math.floor(machine.random() * 10)]);
      await this.write();
      await machine.advance(machine.random() * 8 * MINUTE);
    }
    this.requests = this.pages.flatMap(p => p.requests('/v1/context')).length;
    this.ended = this.pages.flatMap(p => p.of('state')).filter(e => ['LOGIN_NEEDED', 'SIGNED_OUT', 'MISMATCH', 'FATAL'].includes(e.state)).length;
    return this;
  }
}

test(`${DAYS} working days: one sign-in each, and few requests`, async t => {
  const days = [];
  for (let seed = 1; seed <= DAYS; seed++) days.push(await new Day(seed * 104729).run());
  const sum = name => days.reduce((n, day) => n + day[name], 0);
  const perHour = sum('requests') / DAYS / 8;
  t.diagnostic(`counted: ${perHour.toFixed(1)} requests an hour in ten tabs, ${sum('without')} keystrokes without a context, ${sum('ended')} sessions that ended`);
  assert.equal(sum('ended'), 0, 'sessions that ended');
  assert.ok(perHour <= 13, `${perHour} requests an hour`);
});
