// A minute without the store, as a visible tab lives through it, whenever it begins.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ready, refusal } from './service.mjs';

const MINUTE = 60;

/** What the service does while its store is down: it refuses for now, or knows the session and gives short contexts. */
const outages = {
  'the service says later': service => {
    service.special['/v1/context'] = () => refusal(503, 'CP-901', 'later', { error: 'temporarily_unavailable', retry_after: 5 });
  },
  'the service renews from memory': service => Object.assign(service, { life: 120, renewIn: 72, floor: 24 }),
};

/** Writes a letter a second. */
async function write(p, seconds) {
  for (let second = 0; second < seconds; second++) {
    p.tab.click();
    p.chat.contextProvider(context => (context.Auth ? p.with++ : p.without++));
    await p.machine.advance(1);
  }
}

for (const [what, begin] of Object.entries(outages)) {
  test(`a store that is down for a minute is not noticed: ${what}`, async t => {
    let letters = 0;
    for (let at = 0; at < 600; at += 10) {
      const p = Object.assign(await ready({ seed: at + 1 }), { with: 0, without: 0 });
      const usual = { life: p.service.life, renewIn: p.service.renewIn, floor: p.service.floor };
      await write(p, at);
      begin(p.service);
      await write(p, MINUTE);
      Object.assign(p.service, usual).special = {};
      await write(p, 8 * MINUTE);
      assert.equal(p.without, 0, `letters without a context, of an outage after ${at} s`);
      assert.equal(p.with, at + 9 * MINUTE, 'each letter is answered once');
      assert.deepEqual([p.chat.state, p.of('logout'), p.tab.opened], ['READY', [], []], `an outage after ${at} s`);
      letters += p.with;
    }
    t.diagnostic(`counted: ${letters} letters in 60 outages, each with a context`);
  });
}
