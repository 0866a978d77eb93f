// STAND-IN of the ASAPP Chat SDK. Not the vendor's software.

/**
 * Puts the widget in the place of the embed snippet's stub: first what the page has queued, in order,
 * then whatever comes. Who kept the stub can go on using it.
 */
export function takeOver(scope, name, widget) {
  const stub = scope[name];
  const queue = stub._ ?? [];
  while (queue.length > 0) widget.call(...queue.shift());
  const global = (...args) => void widget.call(...args);
  stub._ = { push: args => widget.call(...args) };
  scope[name] = Object.assign(global, { Host: stub.Host, _: stub._, standIn: widget });
}
