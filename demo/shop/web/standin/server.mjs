// STAND-IN of the ASAPP Chat SDK. Not the vendor's software.

const TIMEOUT = 15_000;

/** The vendor's server at an API host. Each call resolves to its reply, or rejects if there is none. */
export function newServer(host) {
  const call = name => async body => {
    const response = await fetch(`${location.protocol}//${host}/vendor/${name}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT),
    });
    if (!response.ok) throw new Error(`${name}: status ${response.status}`);
    return response.json();
  };
  return Object.fromEntries(['load', 'open', 'authenticate', 'message', 'clear'].map(name => [name, call(name)]));
}
