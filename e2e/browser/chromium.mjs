// Starts the browser that is on this machine, with a fresh profile, for tests to drive.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

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
