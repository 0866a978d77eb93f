// Starts the browser that is on this machine, with a fresh profile, for tests to drive.
import { spawn } from 'node:child_process';
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';
import { until } from './chatpass.mjs';

// Nothing leaves this machine: other names than localhost and those below it do not resolve.
const flags = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1',
];

// launch returns a browser; it closes when the test t ends.
export async function launch(t) {
  const browser = await chromium.launch({ executablePath: find(), headless: true, args: flags });
  t.after(() => browser.close());
  return browser;
}

// everyday returns a way to start a browser as people have it, again and again with the same profile: only the
// tab in front is visible, and pages left are kept for the back button. (Playwright shows all tabs to be visible
// and keeps no pages where it starts the browser itself.) It can quit() and crash(). Preferences are Chromium's.
export function everyday(t, preferences = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'chatpass-profile-'));
  mkdirSync(join(profile, 'Default'));
  writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
  const crashes = [];
  t.after(async () => {
    for (const crash of crashes) await crash();
    rmSync(profile, { recursive: true, maxRetries: 5 }); // what was killed may not be gone yet
  });
  return async () => {
    const chrome = spawn(find(), ['--headless', ...flags, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    const ended = new Promise((resolve) => chrome.once('exit', resolve));
    const crash = () => {
      killAll(chrome.pid);
      return ended;
    };
    crashes.push(crash);
    let said = '';
    chrome.stderr.setEncoding('utf8').on('data', (text) => (said += text));
    const address = await until('the browser says where it is', () => said.match(/listening on (ws:\S+)/)?.[1]);
    const browser = await chromium.connectOverCDP(address, { noDefaults: true });
    const quit = async () => {
      const session = await browser.newBrowserCDPSession();
      await session.send('Browser.close').catch(() => {}); // it may be gone before it answers
      await ended;
    };
    return Object.assign(browser, { quit, crash });
  };
}

// killAll ends what leads a process group, and all that it started.
function killAll(leader) {
  try {
    process.kill(-leader, 'SIGKILL');
  } catch (err) {
    if (err.code !== 'ESRCH') throw err; // gone already
  }
}

function find() {
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const paths = process.env.PATH.split(delimiter).flatMap((dir) => names.map((name) => join(dir, name)));
  const found = paths.find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
  if (!found) throw new Error(`no browser: none of ${names.join(', ')} is on the PATH`);
  return found;
}
