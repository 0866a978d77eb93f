// STAND-IN of the ASAPP Chat SDK. Not the vendor's software.

import { StandIn } from './core.mjs';
import { newServer } from './server.mjs';
import { takeOver } from './stub.mjs';
import { newView } from './view.mjs';

/** A browser that forbids storage throws when it is named. */
const storage = name => {
  try {
    return window[name];
  } catch {
    return undefined;
  }
};

/**
 * Starts the widget for the embed snippet's global. With `?standin=test` in the page's address a context
 * that stays refused leads to the Sign In button at once, instead of after the vendor's retries.
 */
export function install(scope, name) {
  const widget = new StandIn({
    connect: newServer,
    view: newView(scope[name].Host),
    shared: storage('localStorage'),
    tab: storage('sessionStorage'),
    timers: { set: (f, ms) => setTimeout(f, ms), clear: id => clearTimeout(id), now: () => performance.now() },
    log: console,
    testMode: new URLSearchParams(location.search).get('standin') === 'test',
  });
  takeOver(scope, name, widget);
}
