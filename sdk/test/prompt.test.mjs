// What people are told, and in which words. How it looks and sounds is for a real browser: e2e/browser/prompt.test.mjs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { expiring, need, please, trouble } from '../src/notices.js';
import { speak } from '../src/words.js';

const said = (state, reason, fault) => need({ state, from: 'READY', reason }, fault);

test('each state that waits for the person says so, and its button leads on', () => {
  for (const [state, reason, text, button, act = 'login'] of [
    ['POPUP_BLOCKED', undefined, 'blocked', 'go'],
    ['LOGIN_PENDING', undefined, 'pending', 'window'],
    ['STEP_UP_PENDING', undefined, 'pending', 'window'],
    ['STEP_UP_NEEDED', undefined, 'confirm', 'prove'],
    ['MISMATCH', 'user_mismatch', 'other', 'accept', 'accept'],
    ['LOGIN_NEEDED', 'idle_timeout', 'ended', 'signIn'],
    ['LOGIN_NEEDED', 'absolute_timeout', 'ended', 'signIn'],
    ['LOGIN_NEEDED', undefined, 'please', 'signIn'],
    ['LOGIN_NEEDED', 'window_closed', 'closed', 'again'],
    ['LOGIN_NEEDED', 'txn_expired', 'closed', 'again'],
    ['LOGIN_NEEDED', 'server_error', 'failed', 'again'],
    ['ANON', 'server_error', 'failed', 'again'],
    ['ANON', 'temporarily_unavailable', 'unavailable', 'again'],
    ['SIGNED_OUT', 'idp_logout', 'out', 'signIn'],
    ['SIGNED_OUT', 'revoked', 'out', 'signIn'],
  ]) {
    assert.deepEqual(said(state, reason), { text, button, act }, `${state} ${reason}`);
  }
  assert.deepEqual(said('SIGNED_OUT', 'user_disabled'), { text: 'barred' });
});

test('what the person chose, and what goes on by itself, is no news', () => {
  for (const [state, reason] of [
    ['INIT'], ['CHECKING'], ['READY'], ['RENEWING'], ['STALE'], ['BACKOFF'], ['OFFLINE'],
    ['ANON', 'no_session'], ['ANON', undefined], ['ANON', 'access_denied'], ['LOGIN_NEEDED', 'access_denied'], ['LOGIN_NEEDED', 'abandoned'], ['SIGNED_OUT', 'logged_out'],
  ]) {
    assert.equal(said(state, reason), undefined, `${state} ${reason}`);
  }
  assert.equal(trouble('rejected_loop'), undefined);
});

test('what goes on to be true stays: an outage until it is over, a session\'s end until somebody signs in', () => {
  const stays = (notice, states) => states.filter(state => notice.stays.test(state));
  const all = ['INIT', 'CHECKING', 'READY', 'RENEWING', 'STALE', 'BACKOFF', 'OFFLINE', 'ANON', 'LOGIN_PENDING', 'SIGNED_OUT'];
  assert.deepEqual(stays(trouble('unreachable'), all), ['INIT', 'CHECKING', 'RENEWING', 'STALE', 'BACKOFF', 'OFFLINE']);
  assert.deepEqual(stays(please(), all), ['INIT', 'CHECKING', 'BACKOFF', 'OFFLINE', 'ANON', 'SIGNED_OUT']);
  for (const notice of [trouble('cookies_blocked'), expiring()]) assert.deepEqual(stays(notice, all), ['CHECKING', 'READY', 'RENEWING', 'STALE', 'BACKOFF', 'OFFLINE']);
});

test('a refusal for good names what helps: another account, or a code for those who do', () => {
  assert.deepEqual(said('FATAL', 'x', { error: 'access_denied', code: 'CP-302', requestId: 'r1' }), { text: 'denied', button: 'another', act: 'login' });
  assert.deepEqual(said('FATAL', 'x', { error: 'invalid_client', code: 'CP-107', requestId: 'r1' }), { text: 'broken', detail: 'CP-107 r1' });
  assert.deepEqual(said('FATAL', 'x'), { text: 'broken', detail: '' });
});

test('every language has a word for everything, and a place for what is filled in', () => {
  const { words: english } = speak(['en']);
  for (const language of ['en', 'de', 'fr', 'es', 'ja']) {
    const { language: chosen, words } = speak([`${language.toUpperCase()}-XX`, 'en']);
    assert.equal(chosen, language);
    assert.deepEqual(Object.keys(words), Object.keys(english));
    for (const [name, text] of Object.entries(words)) {
      assert.deepEqual(text.match(/{\w+}/g), english[name].match(/{\w+}/g), `${language} ${name}`);
      if (language !== 'en') assert.notEqual(text, english[name], `${language} ${name}`);
    }
  }
  for (const notice of [trouble('unreachable'), trouble('cookies_blocked')]) assert.ok(english[notice.text]);
});

test('the page\'s own words and the first language that we speak', () => {
  assert.equal(speak(['nl', 'fr-CA', 'de']).language, 'fr');
  assert.equal(speak(['nl', '', 'constructor']).language, 'en');
  assert.equal(speak(['de'], { signIn: 'Los' }).words.signIn, 'Los');
});
