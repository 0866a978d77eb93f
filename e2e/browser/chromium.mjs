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
// tab in front is visible, and pages left are kept for the back button. Playwright shows all tabs to be visible
// and keeps none where it starts the browser itself. Preferences are Chromium's.
export function everyday(t, preferences = {}) {
  const profile = mkdtempSync(join(tmpdir(), 'chatpass-profile-'));
  mkdirSync(join(profile, 'Default'));
  writeFileSync(join(profile, 'Default', 'Preferences'), JSON.stringify(preferences));
  const processes = [];
  t.after(async () => {
    for (const process of processes) {
      process.kill('SIGKILL');
      await process.ended;
    }
    rmSync(profile, { recursive: true, maxRetries: 20, retryDelay: 100 }); // helpers of the browser outlive it by a little
  });
  return async () => {
    const process = spawn(find(), ['--headless', ...flags, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'], { stdio: ['ignore', 'ignore', 'pipe'] });
    processes.push(process);
    process.ended = new Promise((resolve) => process.once('exit', resolve));
    let said = '';
    process.stderr.setEncoding('utf8').on('data', (text) => (said += text));
    const address = await until('the browser says where it is', () => said.match(/listening on (ws:\S+)/)?.[1]);
    const browser = await chromium.connectOverCDP(address, { noDefaults: true });
    browser.quit = async () => {
      const session = await browser.newBrowserCDPSession();
      await session.send('Browser.close').catch(() => {}); // it may be gone before it answers
      await process.ended;
    };
    return browser;
  };
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
