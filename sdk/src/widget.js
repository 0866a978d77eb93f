import { attempt } from './core.js';

/** @import {Asapp} from './chatpass.js' */
/** @import {Core} from './core.js' */

/** @typedef {{ContextProvider: Function, UserLoginHandler: Function}} Handlers */

/**
 * The widget that the page attached. `settings` is what the page gave to ASAPP('load'), `shown` the
 * customer whose conversation the widget shows.
 * @typedef {{asapp: Asapp, settings?: Record<string, any>, shown?: string}} Widget
 */

/**
 * @param {Core} k
 * @param {Asapp} given
 * @param {Record<string, any>} [settings]
 */
export function attach(k, given, settings) {
  const page = /** @type {any} */ (k.env);
  // The vendor's snippet defines a stub that its script may replace: look the global up at each call.
  const asapp = given === page.ASAPP ? (/** @type {[string]} */ ...args) => page.ASAPP(...args) : given;
  k.widget = { asapp, settings, shown: settings?.CustomerId };
  if (k.ctx) show(k);
}

/**
 * Tells the widget who is there. Not for a mere renewal: contexts reach it through its ContextProvider.
 * @param {Core} k
 * @param {unknown} [again] Even if it knows: it waits for the end of a sign-in.
 */
export function show(k, again) {
  const { widget, customer } = k;
  if (!widget || (customer === widget.shown && !again)) return;
  widget.shown = customer;
  attempt(k, () => widget.asapp('setCustomer', { CustomerId: customer, ...k.handlers }));
}

/** Forgets the person; an anonymous chat begins if the page said how to load one. @param {Core} k */
export function forget(k) {
  const { widget } = k;
  k.customer = k.popup = undefined;
  if (!widget?.shown) return;
  widget.shown = undefined;
  attempt(k, () => {
    widget.asapp('unloadAndClearSession');
    if (!widget.settings) return;
    const { CustomerId, ContextProvider, ...settings } = widget.settings;
    widget.asapp('load', { ...settings, UserLoginHandler: k.handlers.UserLoginHandler });
  });
}
